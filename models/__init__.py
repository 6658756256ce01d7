"""Torch: language models, sampling, reward model, PPO. No Prefect, no S3."""

import os

# libgomp reads this when torch is loaded. By default its threads wait actively for milliseconds, and so take the cores
# from the threads that they wait for, if other processes are busy too. Waiting for some 0.1 ms halves what two busy
# neighbours cost, and makes a quiet machine up to a fifth slower (python -m bench.speed.neighbours).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
