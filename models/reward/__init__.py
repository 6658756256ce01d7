"""Reward model: examples, targets, loss, training, ensembles."""
