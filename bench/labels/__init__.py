"""Benchmarks of label quality."""
