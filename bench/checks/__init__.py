"""Benchmarks of the checks: known bugs, interval coverage."""
