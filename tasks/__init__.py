"""Prefect tasks, one for each step: read, call models or data, publish."""
