"""Torch: language models, sampling, reward model, PPO. No Prefect, no S3."""
