"""Benchmarks of what is learned."""
