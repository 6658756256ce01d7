"""Crashes, kills and faults."""
