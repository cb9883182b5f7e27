"""A sourced number, and where it came from."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec

Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.+_-]*$")]
Evidence = Literal["exact", "measured", "calibrated", "extrapolated", "estimated"]
FactGrade = Literal["published", "derived", "assumed"]
EVIDENCE_ORDER: tuple[Evidence, ...] = (
    "exact",
    "measured",
    "calibrated",
    "extrapolated",
    "estimated",
)
"""Strongest first; ``exact`` is counted from published dimensions, not predicted."""


def worst_evidence(*labels: Evidence) -> Evidence:
    """Return the weakest of the evidence labels: a mix is as good as its worst member.

    >>> worst_evidence("measured", "extrapolated", "calibrated")
    'extrapolated'
    """
    return max(labels, key=EVIDENCE_ORDER.index)


SMALLEST, LARGEST = 1e-15, 1e24
"""No fact of this field in SI units lies outside; catches infinities and slipped exponents."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of fact records: immutable, keyword-only, unknown keys are errors."""


class Fact(Record, frozen=True):
    """A positive number with its source.

    Parameters
    ----------
    value
        The number, in the SI unit that the field's name states.
    source
        Id of a ``[[source]]`` of the same file.
    grade
        ``published`` by the source as such, ``derived`` by arithmetic from published
        figures (``note`` says how), or ``assumed`` (``note`` says why).
    low, high
        Range where sources differ or the fact is a choice of the buyer.
    note
        One line of explanation.
    """

    value: Annotated[float, msgspec.Meta(gt=0)]
    source: str
    grade: FactGrade = "published"
    low: float | None = None
    high: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not SMALLEST <= self.value <= LARGEST:
            msg = f"value must be between {SMALLEST:g} and {LARGEST:g}, got {self.value:g}"
            raise ValueError(msg)
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if not low <= self.value <= high:
            msg = f"low <= value <= high must hold, got {low:g}, {self.value:g}, {high:g}"
            raise ValueError(msg)
        if self.grade != "published" and not self.note:
            msg = f"a fact of grade {self.grade!r} needs a note"
            raise ValueError(msg)


class Source(Record, frozen=True):
    """A publication a fact was read in.

    Parameters
    ----------
    id
        Name used by the facts of the same file.
    title
        What it is, with version or page.
    url
        Web address, or package URL (``pkg:pypi/name@version``), if it has one.
    date
        Date of publication, if known.
    accessed
        Day on which it was read.
    """

    id: Slug
    title: Annotated[str, msgspec.Meta(min_length=3)]
    accessed: dt.date
    url: str = ""
    date: dt.date | None = None


def require_sources(facts: dict[str, str], sources: tuple[Source, ...]) -> None:
    """Check that every fact names a source of its file and no source id repeats.

    Parameters
    ----------
    facts
        Field path → source id it names.
    sources
        The file's sources.

    Raises
    ------
    ValueError
        Naming the field and the valid source ids.
    """
    ids = [source.id for source in sources]
    repeated = {i for i in ids if ids.count(i) > 1}
    if repeated:
        msg = f"source id {sorted(repeated)[0]!r} is used twice"
        raise ValueError(msg)
    for path, source in facts.items():
        if source not in ids:
            msg = f"{path} names source {source!r}, which is not one of: {', '.join(ids)}"
            raise ValueError(msg)


def facts_of(record: msgspec.Struct, prefix: str = "") -> dict[str, Fact]:
    """Collect every :class:`Fact` in a record, by dotted field path.

    Parameters
    ----------
    record
        Any fact record; nested records and tuples are searched.
    prefix
        Path put before each name.
    """
    found: dict[str, Fact] = {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        items = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        for index, item in items:
            path = prefix + name + ("" if index is None else f"[{index}]")
            if isinstance(item, Fact):
                found[path] = item
            elif isinstance(item, Record):
                found.update(facts_of(item, path + "."))
    return found
