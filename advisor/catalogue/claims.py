"""The report's claims and errors, and figures that only their checks need."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from advisor.catalogue.names import find
from advisor.catalogue.read import read_record
from advisor.errors import UsageError
from advisor.schema.claim import Claim, ClaimFile, NamedFact

_PATH = Path(__file__).resolve().parent / "claims.toml"


@cache
def claim_file() -> ClaimFile:
    """Read the claims."""
    return read_record(_PATH, ClaimFile)


def get_claim(number: int) -> Claim:
    """Return a claim by its number; others raise UsageError."""
    claims = claim_file().claim
    if not 1 <= number <= len(claims):
        msg = f"claims are numbered 1 to {len(claims)}, got {number}"
        raise UsageError(msg)
    return claims[number - 1]


def figure(name: str) -> NamedFact:
    """Return a figure by id; unknown ids raise UnknownNameError."""
    known = {row.id: row for row in claim_file().figure}
    return known[find(name, {key: key for key in known}, "figure", _PATH.name)]
