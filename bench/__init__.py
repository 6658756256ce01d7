"""Benchmarks: medians of five runs, CPU seconds beside wall seconds. Never part of the tests."""
