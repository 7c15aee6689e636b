"""Errors that a user can act on; the command line prints them as one sentence and exits with 1."""


class SkymixError(Exception):
    """Something a user can mend: says what is wrong, where, what is allowed and what to do."""


class StudyError(SkymixError):
    """The study file is wrong."""


class DataError(SkymixError):
    """A file or table is unusable: missing, truncated, of the wrong kind, or not finite."""
