"""The fields a viewer can set: names, kinds and limits, written down once.

Sidebar, link, scenario file and command line are all made from this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from advisor.catalogue import devices, engines, models, prices
from advisor.errors import AdvisorError

Value = str | int | float | None
Kind = Literal["whole", "number", "choice"]
Group = Literal["look", "load", "limits", "assume"]
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Field:
    """One field.

    Parameters
    ----------
    key
        Name in links, scenario files and the session.
    label, help
        Keys of the locale files.
    option
        The command's option of the same meaning; empty: none.
    per_option
        What the command's number is over this field's (``--slo-ttft-ms`` for seconds: 1000).
    default
        None: left open, so that the tool chooses and says what.
    choices
        Valid values of a choice, in order.
    """

    key: str
    label: str
    kind: Kind
    group: Group
    default: Value
    option: str = ""
    help: str = ""
    per_option: float = 1.0
    low: float = 0.0
    high: float = 1e9
    step: float = 1.0
    choices: Callable[[], tuple[str, ...]] | None = None


@cache
def _models() -> tuple[str, ...]:
    """Sizes first, as people speak of them, then every model whose dimensions are known."""
    found = [models.read_model(name) for name in models.model_ids()]
    sizes = {
        size: m.parameters.total.value
        for m in found
        for size in m.reference_sizes
        if m.parameters and m.parameters.total
    }
    known = tuple(m.id for m in found if m.shape is not None)
    return (*sorted(sizes, key=lambda size: sizes[size]), *known)


@cache
def _devices() -> tuple[str, ...]:
    """Every device whose bandwidth is published: without it nothing can be said."""
    return tuple(d for d in devices.device_ids() if _usable(d))


def _usable(device_id: str) -> bool:
    try:
        return devices.bandwidth_of(devices.read_device(device_id)) > 0
    except AdvisorError:
        return False


@cache
def _formats() -> tuple[str, ...]:
    return tuple(f.id for f in engines.format_file().format)


@cache
def _sites() -> tuple[str, ...]:
    return tuple(
        sorted(
            s.id for file in prices.price_files() for s in file.site if s.usd_per_kwh is not None
        )
    )


FIELDS: tuple[Field, ...] = (
    Field("model", "field_model", "choice", "look", "4B", "--model", choices=_models),
    Field("hw", "field_hw", "choice", "look", "h20-96", "--hw", choices=_devices),
    Field("isl", "field_isl", "whole", "load", 1000, "--isl", low=1, high=1e6, step=100),
    Field("osl", "field_osl", "whole", "load", 300, "--osl", low=1, high=1e6, step=50),
    Field(
        "concurrency",
        "field_concurrency",
        "whole",
        "load",
        None,
        "--concurrency",
        "help_concurrency",
        low=1,
        high=1e6,
    ),
    Field("rps", "field_rps", "number", "load", None, "--rps", "help_rps", low=1e-6, high=1e6),
    Field(
        "ttft_s",
        "field_ttft",
        "number",
        "limits",
        None,
        "--slo-ttft-ms",
        "help_limit",
        per_option=1e3,
        low=1e-4,
        high=1e5,
        step=0.1,
    ),
    Field(
        "tpot_ms",
        "field_tpot",
        "number",
        "limits",
        None,
        "--slo-tpot-ms",
        "help_limit",
        low=1e-2,
        high=1e6,
        step=5.0,
    ),
    Field("count", "field_count", "whole", "assume", None, "--count", "help_open", low=1, high=1e5),
    Field("tp", "field_tp", "whole", "assume", None, "--tp", "help_open", low=1, high=1024),
    Field(
        "precision",
        "field_precision",
        "choice",
        "assume",
        None,
        "--precision",
        "help_open",
        choices=_formats,
    ),
    Field(
        "engine",
        "field_engine",
        "choice",
        "assume",
        None,
        "--engine",
        "help_open",
        choices=engines.engine_ids,
    ),
    Field(
        "usd_per_hour",
        "field_usd_per_hour",
        "number",
        "assume",
        None,
        "--usd-per-hour",
        "help_usd_per_hour",
        low=1e-4,
        high=1e5,
        step=0.1,
    ),
    Field("site", "field_site", "choice", "assume", None, "--site", "help_open", choices=_sites),
)
"""In the order of the sidebar."""

BY_KEY = {field.key: field for field in FIELDS}
