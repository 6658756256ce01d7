"""Runs: the registry, the champion, leases, checkpoints and stops."""
