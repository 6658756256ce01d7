"""Policy training by PPO."""
