"""Formats of others: what the tools of vendors read and write, and what trainers read."""
