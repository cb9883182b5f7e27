"""How one replica is spread over devices."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.errors import UsageError
from advisor.schema.model import Attention, Layer, Linear, Mla, Moe, Shape


@dataclass(frozen=True)
class Layout:
    """Parallelism of one replica and the number of replicas.

    Parameters
    ----------
    tp
        Tensor parallel: every matrix is split over so many devices.
    pp
        Pipeline parallel: layers are split into so many stages.
    dp
        Attention data parallel: ranks with their own sequences that share the experts.
    ep
        Expert parallel: groups of whole experts; experts are split ``tp*dp/ep`` ways inside.
    replicas
        Independent copies.

    Raises
    ------
    UsageError
        If a number is below 1 or ``ep`` doesn't divide ``tp*dp``.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    replicas: int = 1

    def __post_init__(self) -> None:
        for name in ("tp", "pp", "dp", "ep", "replicas"):
            value = getattr(self, name)
            if value < 1:
                msg = f"{name} must be at least 1, got {value}"
                raise UsageError(msg)
        if (self.tp * self.dp) % self.ep:
            msg = f"ep {self.ep} doesn't divide tp*dp = {self.tp * self.dp}"
            raise UsageError(msg)

    @property
    def devices_per_replica(self) -> int:
        """Devices of one replica: ``tp*pp*dp``."""
        return self.tp * self.pp * self.dp

    @property
    def devices(self) -> int:
        """Devices in all."""
        return self.devices_per_replica * self.replicas

    @property
    def moe_tp(self) -> int:
        """Ways each expert's matrices are split."""
        return self.tp * self.dp // self.ep

    def __str__(self) -> str:
        parts = [f"{k}{getattr(self, k)}" for k in ("tp", "pp", "dp", "ep") if getattr(self, k) > 1]
        return " ".join(parts) or "tp1"


def _heads(layer: Layer) -> int | None:
    mixer = layer.mixer
    if isinstance(mixer, Attention | Mla):
        return mixer.heads
    return mixer.value_heads if isinstance(mixer, Linear) else None


def check_layout(shape: Shape, layout: Layout, model: str) -> None:
    """Check that a model can be split as asked.

    Raises
    ------
    UsageError
        If ``tp`` doesn't divide the heads of every layer, ``pp`` exceeds the layers, or
        ``ep`` or ``dp`` is asked of a model without experts; names valid values.
    """
    heads = {h for layer in shape.layers if (h := _heads(layer))}
    bad = sorted(h for h in heads if h % layout.tp)
    if bad:
        valid = [t for t in (1, 2, 3, 4, 5, 6, 7, 8, 12, 16) if not any(h % t for h in heads)]
        msg = f"tp {layout.tp} doesn't divide the {bad[0]} heads of {model}; valid: {valid}"
        raise UsageError(msg, suggestions=[str(t) for t in valid])
    layers = sum(layer.count for layer in shape.layers)
    if layout.pp > layers:
        msg = f"pp {layout.pp} exceeds the {layers} layers of {model}"
        raise UsageError(msg)
    moes = [layer.ffn for layer in shape.layers if isinstance(layer.ffn, Moe)]
    if not moes and (layout.ep > 1 or layout.dp > 1):
        what = "ep" if layout.ep > 1 else "dp"
        msg = f"{what} needs a mixture-of-experts model; {model} is dense: add replicas (--count)"
        raise UsageError(msg)
    for moe in moes:
        if moe.experts % layout.ep:
            msg = f"ep {layout.ep} doesn't divide the {moe.experts} experts of {model}"
            raise UsageError(msg)
