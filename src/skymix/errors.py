"""Errors that a user can act on; the command line prints them as one sentence and exits."""

from typing import ClassVar


class SkymixError(Exception):
    """Something a user can mend: says what is wrong, where, what is allowed and what to do."""

    exit_code: ClassVar[int] = 1


class StudyError(SkymixError):
    """The study file is wrong."""


class DataError(SkymixError):
    """A file or table is unusable: missing, truncated, of the wrong kind, or not finite."""


class Interrupted(SkymixError):
    """A run was asked to stop; run again, it goes on from its checkpoint."""

    exit_code = 85
