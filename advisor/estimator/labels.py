"""Which label a setup earns, and why."""

from __future__ import annotations

from advisor.catalogue.devices import FamilyChoice, linked
from advisor.catalogue.engine_costs import era_of_engine, serving_measured
from advisor.schema.device import Device
from advisor.schema.engine import Engine, WeightFormat
from advisor.schema.fact import Evidence
from advisor.schema.model import Shape
from advisor.schema.text import Text


def kind_of(shape: Shape) -> str:
    """Return ``moe`` if any layer has experts, else ``dense``."""
    return "moe" if shape.has_experts else "dense"


def label_of(
    setup_family: FamilyChoice, weights: WeightFormat, shape: Shape, engine: Engine, device: Device
) -> tuple[Evidence, Text]:
    """Return the label of a model in a format under an engine on a device, and the reason.

    Kernels measured on a device are not yet its serving: a server never measured on the
    architecture is an extrapolation.
    """
    constants = setup_family.efficiency
    missing_gemm = weights.gemm not in constants.gemm
    routed = shape.has_experts
    if routed and weights.gemm not in constants.experts:
        return "estimated", Text.of("because_no_experts", format=weights.id, family=constants.id)
    if missing_gemm and not routed:
        return "estimated", Text.of("because_no_format", format=weights.id, family=constants.id)
    era = era_of_engine(engine.id, kind_of(shape))
    served = era is None or serving_measured(era.engine, device.architecture)
    if setup_family.evidence == "calibrated" and not served and not linked(constants, engine.id):
        return "extrapolated", Text.of("because_not_served", engine=engine.name)
    return setup_family.evidence, setup_family.because
