"""The one exception that a person is meant to read."""


class Refused(Exception):
    """A refusal with its reason: what is wrong, where, and what to do. The CLI prints it and exits with 1."""
