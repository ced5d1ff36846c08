"""The errors that a user can cause. `cli.main` prints each as one line; nothing else catches it."""


class BioqError(Exception):
    """Bad input: one line that says what, where, found, expected and what to do. Exit status 1."""


class SaidElsewhere(BioqError):
    """An error that another process of the same training reports: no message. Exit status 1."""


class UsageError(BioqError):
    """A command or a call with arguments that cannot go together. Exit status 2."""
