"""Answers in: from a vendor's file to the labels of a batch."""
