"""The language model: base, tokens, sampling, log-probabilities."""
