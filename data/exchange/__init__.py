"""Formats of labeling tools and of trainers."""
