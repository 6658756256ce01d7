"""Supervised fine-tuning on reference responses."""
