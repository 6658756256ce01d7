"""Simulated labelers and vendors."""
