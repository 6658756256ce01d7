"""The base check: what proves that the learner is right for a base, before a label is bought."""
