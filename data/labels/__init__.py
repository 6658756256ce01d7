"""Accepted labels, the decisions about them, and frozen label sets."""
