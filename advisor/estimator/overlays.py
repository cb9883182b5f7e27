"""Where measured overlays take effect: what isn't asked for, costs, step times, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from advisor.catalogue.data_version import constants_version
from advisor.catalogue.devices import get_device
from advisor.catalogue.engines import get_engine, get_format
from advisor.catalogue.local_models import get_any_model
from advisor.catalogue.overlay import Applied, OverlayFile, choose, read_overlays
from advisor.catalogue.widths import width
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import Setup
from advisor.perf.intervals import Spread
from advisor.perf.layout import Layout
from advisor.perf.roofline import Array
from advisor.perf.step import Batch, StepModel
from advisor.perf.steptime import StepTime
from advisor.schema.fact import Evidence
from advisor.schema.overlay import Metric, Target
from advisor.schema.text import Text


class MeasuredSteps(StepModel):
    """A step model whose prompts and decode steps take a measured multiple of their time."""

    def __init__(self, model: StepModel, prefill_factor: float, decode_factor: float) -> None:
        super().__init__(model.work, model.chip, model.pipeline_stages)
        self._prompt_factor, self._decode_factor = prefill_factor, decode_factor

    def seconds(self, batch: Batch) -> Array:
        """Return the time of one step: what a prompt adds to decoding is the prompt's."""
        whole = super().seconds(batch)
        if not np.any(batch.chunks):
            return np.asarray(self._decode_factor * whole)
        if not np.any(batch.sequences):
            return np.asarray(self._prompt_factor * whole)
        decoding = super().seconds(Batch(batch.sequences, batch.context_tokens))
        prompt = whole - decoding
        return np.asarray(self._decode_factor * decoding + self._prompt_factor * prompt)

    def step(self, batch: Batch) -> StepTime:
        """Return the time of one step and its parts, all by the same factor."""
        found = super().step(batch)
        factor = self.seconds(batch) / found.seconds
        return StepTime(
            {name: value * factor for name, value in found.parts_s.items()},
            {name: value * factor for name, value in found.bounds_s.items()},
            found.flops,
            found.moved_bytes,
        )


def target_of(setup: Setup, layout: Layout) -> Target:
    """Return what an overlay of this deployment would be filed under."""
    return Target(
        model=setup.model.id,
        device=setup.device.id,
        architecture=setup.device.architecture,
        engine=setup.engine.id,
        precision=setup.weights.id,
        kv_precision=setup.kv_format,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ep=layout.ep,
    )


def overlays_of(request: EstimateRequest) -> tuple[OverlayFile, ...]:
    """Read the overlays a request names; none if it names none."""
    return read_overlays(Path(request.overlay)) if request.overlay else ()


def as_measured(
    request: EstimateRequest, files: Sequence[OverlayFile]
) -> tuple[EstimateRequest, tuple[Text, ...]]:
    """Fill in engine, format and layout left open with those measured on this very device.

    Returns
    -------
    tuple
        The request, and the default to tell if anything was filled in.
    """
    if not files:
        return request, ()
    model, device = get_any_model(request.model)[0].id, get_device(request.hw).id
    fitting = [
        file
        for file in files
        if (file.overlay.target.model, file.overlay.target.device) == (model, device)
        and _agrees(request, file.overlay.target)
    ]
    if not fitting:
        return request, ()
    found = min(fitting, key=lambda f: (-f.overlay.configurations, f.name)).overlay.target
    filled = replace(
        request,
        engine=request.engine or found.engine,
        precision=request.precision or found.precision,
        kv_precision=request.kv_precision or found.kv_precision,
    )
    if all(v is None for v in (request.tp, request.pp, request.dp, request.ep, request.count)):
        filled = replace(filled, tp=found.tp, pp=found.pp, dp=found.dp, ep=found.ep)
    if filled == request:
        return request, ()
    layout = Layout(found.tp, found.pp, found.dp, found.ep)
    text = Text.of(
        "default_measured", engine=found.engine, format=found.precision, layout=str(layout)
    )
    return filled, (text,)


def _agrees(request: EstimateRequest, target: Target) -> bool:
    """Tell whether nothing asked for contradicts what was measured."""
    engine = request.engine is None or get_engine(request.engine).id == target.engine
    weights = request.precision is None or get_format(request.precision).id == target.precision
    asked = (request.tp, request.pp, request.dp, request.ep)
    return (
        engine
        and weights
        and all(a is None or a == b for a, b in zip(asked, target.layout, strict=True))
    )


def overlaid(
    setup: Setup, layout: Layout, request: EstimateRequest, files: Sequence[OverlayFile]
) -> Setup:
    """Return the setup with the overlay that speaks for it, and a warning if none does."""
    if not files:
        return setup
    found = choose(files, target_of(setup, layout))
    if found is None:
        return replace(setup, warnings=(*setup.warnings, Text.of("warn_no_overlay")))
    file, relation = found
    stale = file.overlay.constants != constants_version()
    applied = Applied(
        file,
        relation,
        float(request.isl_tokens),
        float(request.osl_tokens),
        setup.device.device_class,
        setup.kind,
        setup.evidence,
        stale,
    )
    warnings = (Text.of("warn_stale_overlay", overlay=file.overlay.id),) if stale else ()
    return replace(
        setup,
        overlay=applied,
        cost=applied.cost(setup.cost),
        warnings=(*setup.warnings, *warnings),
    )


def measured_steps(setup: Setup, model: StepModel) -> StepModel:
    """Return a setup's step model, with measured step times if an overlay has them."""
    applied = setup.overlay
    if applied is None or not applied.file.overlay.phases:
        return model
    return MeasuredSteps(model, applied.prefill_factor, applied.decode_factor)


def verdict(
    setup: Setup, metric: Metric, concurrency: float | None
) -> tuple[Spread, Evidence, Text]:
    """Return the range, label and reason of a metric.

    Parameters
    ----------
    concurrency
        Requests in flight on one replica; None: of no concern.
    """
    if setup.overlay is not None:
        q80, q95, label, because = setup.overlay.verdict(metric, concurrency)
        return Spread(q80, q95), label, because
    row = width(metric, setup.evidence, setup.device.device_class, setup.kind)
    return Spread(row.q80, row.q95), setup.evidence, setup.because


def overlay_data(setup: Setup) -> dict[str, str]:
    """Return what an answer says about the overlay it used."""
    if setup.overlay is None:
        return {}
    file = setup.overlay.file
    return {"overlay": f"{file.overlay.id} {file.sha256[:12]}"}
