"""Sentences as data: a key and its parameters, put into words by the report layer."""

from __future__ import annotations

from dataclasses import dataclass

Scalar = str | int | float


@dataclass(frozen=True)
class Text:
    """A message of the locale files (``advisor/report/locales``) and what fills it in.

    >>> Text.of("fits", count=2).values
    {'count': 2}
    """

    key: str
    params: tuple[tuple[str, Scalar], ...] = ()

    @classmethod
    def of(cls, key: str, **params: Scalar) -> Text:
        """Build a message from keyword parameters."""
        return cls(key, tuple(params.items()))

    @property
    def values(self) -> dict[str, Scalar]:
        """Parameters by name."""
        return dict(self.params)
