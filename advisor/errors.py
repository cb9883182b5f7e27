"""The error tree, by what the user can do about it.

::

    AdvisorError
    ├── UsageError          (2)  mend the command: malformed option, value out of range
    ├── InfeasibleError     (3)  ask for something else: does not fit, no point under the SLO
    ├── DataError           (4)  mend or supply data
    │   ├── UnknownNameError     no such model, device, price ...: nearest known names
    │   ├── MissingDataError     known thing, but a fact it needs is not published
    │   └── InvalidFileError     unreadable or invalid file: file, line, field
    └── StalePriceError     (5)  refresh prices or raise --max-price-age

The number in brackets is the process exit code; 1 is left for bugs.
"""

from __future__ import annotations

from collections.abc import Sequence


class AdvisorError(Exception):
    """Base of every error a user can act on.

    Parameters
    ----------
    message
        What is wrong and where, in one line.
    limit
        The binding limit, if one decided (for example ``"memory_bytes"``).
    suggestions
        Valid choices or changes, nearest first.
    """

    exit_code = 1
    code = "error"

    def __init__(self, message: str, *, limit: str = "", suggestions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.limit = limit
        self.suggestions = tuple(suggestions)

    def __str__(self) -> str:
        return self.message


class UsageError(AdvisorError):
    """The request itself is malformed or out of range."""

    exit_code = 2
    code = "usage"


class InfeasibleError(AdvisorError):
    """The request is well formed, but nothing meets its limits."""

    exit_code = 3
    code = "infeasible"


class DataError(AdvisorError):
    """Data is missing, unknown or broken."""

    exit_code = 4
    code = "data"


class UnknownNameError(DataError):
    """No catalogue entry has this name or alias."""

    code = "unknown-name"


class MissingDataError(DataError):
    """The thing is known, but a fact needed to answer is not published."""

    code = "missing-data"


class InvalidFileError(DataError):
    """A file can't be read, or breaks its schema."""

    code = "invalid-file"


class StalePriceError(AdvisorError):
    """The newest matching price is older than the caller allows."""

    exit_code = 5
    code = "stale-price"
