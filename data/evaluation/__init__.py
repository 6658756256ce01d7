"""Evaluation: systems, judgements of their responses, human evaluations, and the promotion gate."""
