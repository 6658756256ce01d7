"""The one exception that a person is meant to read."""


class Refused(Exception):
    """A refusal with its reason: what is wrong, where, and what to do. The CLI prints it and exits with 1."""


class Unavailable(Refused):
    """The store does not take or give what it should: a full disk, a network that is down, credentials that ended."""
