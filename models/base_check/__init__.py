"""The base check: the learner's fast code, compared with a base's own forward pass before labels are bought."""
