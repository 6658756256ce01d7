"""Batches: the questions that labelers answer, their key, and how both are written and published."""
