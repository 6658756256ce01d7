"""The common parts of trainings: processes, checkpoints, loops, jobs."""
