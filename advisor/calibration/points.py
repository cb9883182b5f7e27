"""Predicted beside measured by group, as the shipped constants give it."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from advisor.catalogue.read import read_record
from advisor.schema.fact import Evidence, Record

POINTS = Path(__file__).with_name("validation_points.toml")


class Point(Record, frozen=True):
    """Medians over the ``rows`` measurements of one device and model.

    ``metric`` names the quantity with its unit (``tpot_ms``, ``decode_tok_s``); the constants
    have seen these rows, except where ``evidence`` is weaker than ``calibrated``.
    """

    metric: Literal["tpot_ms", "decode_tok_s", "prefill_tok_s"]
    group: str
    rows: Annotated[int, msgspec.Meta(ge=1)]
    measured: Annotated[float, msgspec.Meta(gt=0)]
    predicted: Annotated[float, msgspec.Meta(gt=0)]
    evidence: Evidence


class PointFile(Record, frozen=True):
    """``validation_points.toml``, written by ``docs/make_validation_points.py``."""

    schema: Literal[1]
    made: dt.date
    point: tuple[Point, ...]


@cache
def validation_points() -> PointFile:
    """Return the shipped points."""
    return read_record(POINTS, PointFile)
