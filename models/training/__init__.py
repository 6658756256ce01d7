"""What every training shares: processes, checkpoints, loops, jobs."""
