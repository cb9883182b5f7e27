"""Skills of routers and verifiers that someone measured: what may be hoped for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from advisor.catalogue.read import read_record
from advisor.schema.fact import Record, Slug, Source, require_sources

_FILE = Path(__file__).resolve().parent / "routers.toml"
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class KnownRouter(Record, frozen=True):
    """AUC of a router for "only the large model is right" on some data."""

    id: Slug
    method: str
    data: str
    auc: Share
    source: str
    note: str = ""


class KnownVerifier(Record, frozen=True):
    """Shares of right answers accepted and of wrong answers escalated on some data."""

    id: Slug
    method: str
    data: str
    accepts_right: Share
    escalates_wrong: Share
    source: str
    note: str = ""


class RouterCost(Record, frozen=True):
    """What a router itself costs a request."""

    id: Slug
    method: str
    usd_per_mrequest: float
    requests_per_s: float
    source: str


class RouterFile(Record, frozen=True):
    """``routers.toml``."""

    schema: Literal[1]
    router: tuple[KnownRouter, ...]
    verifier: tuple[KnownVerifier, ...]
    cost: tuple[RouterCost, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        named = {row.id: row.source for row in self.router}
        named |= {row.id: row.source for row in self.verifier}
        named |= {row.id: row.source for row in self.cost}
        require_sources(named, self.source)


@cache
def known() -> RouterFile:
    """Return the measured routers and verifiers."""
    return read_record(_FILE, RouterFile)
