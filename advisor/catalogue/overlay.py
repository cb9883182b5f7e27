"""Measured overlays: reading them, and choosing the one that speaks for a question."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from advisor.catalogue.read import decode, read_text
from advisor.catalogue.widths import width
from advisor.errors import InvalidFileError
from advisor.schema.engine import EngineCost
from advisor.schema.fact import Evidence
from advisor.schema.overlay import Metric, Overlay, Target
from advisor.schema.text import Text

Relation = Literal["same", "model", "device"]
NEAR = 1.5
"""A question within this factor of what was measured counts as measured."""
SIBLING_SHARE = 0.5
"""Share of a correction that carries over to what wasn't measured."""


@dataclass(frozen=True)
class OverlayFile:
    """An overlay with the name and fingerprint of its file."""

    name: str
    sha256: str
    overlay: Overlay


def read_overlays(path: Path) -> tuple[OverlayFile, ...]:
    """Read an overlay, or all ``*.toml`` of a folder in the order of their names.

    Raises
    ------
    InvalidFileError
        If the path doesn't exist or a file isn't an overlay.
    """
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        msg = f"{path}: holds no overlay (*.toml); advisor import-bench writes them"
        raise InvalidFileError(msg)
    found = []
    for file in files:
        text = read_text(file)
        digest = hashlib.sha256(text.encode()).hexdigest()
        found.append(OverlayFile(file.name, digest, decode(text, Overlay, str(file))))
    return tuple(found)


@dataclass(frozen=True)
class Applied:
    """An overlay as it applies to one setup.

    Parameters
    ----------
    file
        The overlay.
    relation
        ``same``: the very thing measured; ``model``: another model, format or layout on the
        same device and engine; ``device``: the same model on a device of the same
        architecture.
    isl_tokens, osl_tokens
        Lengths asked for.
    device_class, kind
        Of the device and the model asked for.
    fallback
        The setup's own label.
    stale
        The efficiency constants have changed since the fit.
    """

    file: OverlayFile
    relation: Relation
    isl_tokens: float
    osl_tokens: float
    device_class: str
    kind: str
    fallback: Evidence
    stale: bool

    @property
    def share(self) -> float:
        """Share of the correction that holds: all near what was measured, half far from it."""
        if self.relation != "same" or self.stale:
            return SIBLING_SHARE
        off = self.file.overlay.reach.distance(self.isl_tokens, self.osl_tokens)
        return min(max(1.0 - SIBLING_SHARE * math.log2(max(off / NEAR, 1.0)), SIBLING_SHARE), 1.0)

    def cost(self, own: EngineCost) -> EngineCost:
        """Return an engine's costs with the correction: its factor, and what it adds in seconds.

        A factor carries over as a factor, seconds as seconds.
        """
        base, fitted, share = self.file.overlay.base, self.file.overlay.fitted, self.share
        factor = (fitted.kernel_factor / base.kernel_factor) ** share
        added = {
            name: max(
                getattr(own, name) + share * (getattr(fitted, name) - getattr(base, name)), 0.0
            )
            for name in ("per_step_s", "per_sequence_s", "per_request_s")
        }
        return msgspec.structs.replace(own, kernel_factor=own.kernel_factor * factor, **added)

    @property
    def prefill_factor(self) -> float:
        """Factor on the time of prompts."""
        return math.pow(self.file.overlay.prefill_factor, self.share)

    @property
    def decode_factor(self) -> float:
        """Factor on the time of decode steps."""
        return math.pow(self.file.overlay.decode_factor, self.share)

    def verdict(
        self, metric: Metric, concurrency: float | None
    ) -> tuple[float, float, Evidence, Text]:
        """Return the half-widths, label and reason of a metric at a load of one replica."""
        overlay = self.file.overlay
        told = next((e for e in overlay.error if e.metric == metric), None)
        off = overlay.reach.distance(self.isl_tokens, self.osl_tokens, concurrency)
        source = overlay.source
        if self.relation == "same" and told and off <= NEAR and not self.stale:
            because = Text.of(
                "because_measured", tool=source.tool, date=str(source.date), points=overlay.points
            )
            return told.q80, told.q95, "measured", because
        q80, q95, label = self._unmeasured(metric)
        if told:
            q80, q95 = max(q80, told.q80), max(q95, told.q95)
        return q80, q95, label, self._because()

    def _unmeasured(self, metric: Metric) -> tuple[float, float, Evidence]:
        """Return the label's usual width, and in quadrature what of the correction isn't applied.

        A sibling device's constants are extrapolated, as those of the catalogue are.
        """
        label: Evidence = "calibrated"
        if self.relation == "device" and self.fallback != "calibrated":
            label = "extrapolated"
        row = width(metric, label, self.device_class, self.kind)
        left = (1.0 - self.share) * self.file.overlay.size(metric)
        return math.hypot(row.q80, left), math.hypot(row.q95, left), label

    def _because(self) -> Text:
        target, source = self.file.overlay.target, self.file.overlay.source
        if self.relation == "same":
            return Text.of("because_outside", tool=source.tool, date=str(source.date))
        if self.relation == "model":
            return Text.of("because_sibling_model", tool=source.tool, model=target.model)
        return Text.of("because_sibling_device", tool=source.tool, device=target.device)


def relation(measured: Target, asked: Target) -> Relation | None:
    """Return how what is asked relates to what was measured; None: not at all."""
    if measured.engine != asked.engine:
        return None
    if measured.device != asked.device:
        alike = measured.model == asked.model and measured.architecture == asked.architecture
        return "device" if alike else None
    same = (
        measured.model == asked.model
        and measured.precision == asked.precision
        and measured.kv_precision == asked.kv_precision
        and measured.layout == asked.layout
    )
    return "same" if same else "model"


_ORDER: tuple[Relation, ...] = ("same", "model", "device")


def choose(files: Sequence[OverlayFile], asked: Target) -> tuple[OverlayFile, Relation] | None:
    """Return the overlay nearest to what is asked: the same model first, then most points."""

    def rank(pair: tuple[OverlayFile, Relation]) -> tuple[object, ...]:
        file, kind = pair
        other = file.overlay.target.model != asked.model
        return (_ORDER.index(kind), other, -file.overlay.configurations, file.name)

    related = [(f, kind) for f in files if (kind := relation(f.overlay.target, asked))]
    return min(related, key=rank, default=None)
