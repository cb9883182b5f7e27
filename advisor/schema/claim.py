"""The report's testable claims and its errors."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Fact, Record, Slug, Source, facts_of, require_sources


class Both(Record, frozen=True):
    """A sentence in both languages."""

    en: Annotated[str, msgspec.Meta(min_length=2)]
    zh: Annotated[str, msgspec.Meta(min_length=1)]

    def of(self, lang: Literal["en", "zh"]) -> str:
        """Return it in a language."""
        return self.en if lang == "en" else self.zh


class Claim(Record, frozen=True):
    """One claim: what the report says, where, and what the answer assumes.

    ``corrects`` lists the numbers of errors of the report that the answer sets right.
    """

    number: Annotated[int, msgspec.Meta(ge=1)]
    section: str
    page: int
    says: Both
    assumes: tuple[Both, ...] = ()
    corrects: tuple[int, ...] = ()


class ReportError(Record, frozen=True):
    """Something the report states wrongly, and what is right."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    place: Both
    wrong: Both
    right: Both


class NamedFact(Record, frozen=True):
    """A published figure that a check needs and no other fact file holds."""

    id: Slug
    what: str
    fact: Fact


class ClaimFile(Record, frozen=True):
    """``advisor/catalogue/claims.toml``."""

    schema: Literal[1]
    report: str
    claim: tuple[Claim, ...]
    error: tuple[ReportError, ...]
    figure: tuple[NamedFact, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        require_sources({p: f.source for p, f in facts_of(self).items()}, self.source)
        for name in ("claim", "error"):
            numbers = [row.number for row in getattr(self, name)]
            if numbers != list(range(1, len(numbers) + 1)):
                msg = f"{name} numbers must run from 1 on, got {numbers}"
                raise ValueError(msg)
        wrong = {n for c in self.claim for n in c.corrects} - {e.number for e in self.error}
        if wrong:
            msg = f"claims correct unknown errors {sorted(wrong)}"
            raise ValueError(msg)
