"""The fields a viewer can set: names, kinds and limits, written down once.

Sidebar, link, scenario file and command line are all made from this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from advisor.catalogue import devices, engines, models, prices
from advisor.errors import AdvisorError
from advisor.schema.price import Currency
from advisor.schema.workload import Privacy
from advisor.ui.question import OWN, Value, examples

Kind = Literal["whole", "number", "choice", "many"]
Group = Literal["ask", "more", "look"]
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
        Option of ``advisor estimate`` with the same meaning; empty: none.
    choices
        Valid values of a choice, in order.
    """

    key: str
    label: str
    kind: Kind
    group: Group
    option: str = ""
    help: str = ""
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


def _privacies() -> tuple[str, ...]:
    return get_args(Privacy)


def _yes_no() -> tuple[str, ...]:
    return ("yes", "no")


def _bases() -> tuple[str, ...]:
    return (*examples(), OWN)


def _currencies() -> tuple[str, ...]:
    return tuple(get_args(Currency))


FIELDS: tuple[Field, ...] = (
    Field("base", "field_base", "choice", "ask", "", choices=_bases),
    Field("per_day", "field_per_day", "number", "ask", low=0.1, high=1e9, step=1000.0),
    Field("isl", "field_isl", "whole", "ask", "--isl", "help_length", low=1, high=1e6, step=100),
    Field("osl", "field_osl", "whole", "ask", "--osl", "help_length", low=1, high=1e6, step=50),
    Field(
        "floor", "field_floor", "number", "ask", "", "help_floor", low=0.01, high=0.99, step=0.01
    ),
    Field("ttft_s", "field_ttft", "number", "ask", "", "help_limit", low=0.01, high=1e5, step=0.1),
    Field(
        "tpot_s", "field_tpot", "number", "more", "", "help_limit", low=1e-4, high=1e4, step=0.01
    ),
    Field("e2e_s", "field_e2e", "number", "more", "", "help_limit", low=0.01, high=1e6, step=1.0),
    Field("privacy", "field_privacy", "choice", "more", "", choices=_privacies),
    Field("rent", "field_rent", "many", "more", "", "help_rent", choices=_devices),
    Field("owned_hw", "field_owned_hw", "choice", "more", choices=_devices),
    Field("owned_count", "field_owned_count", "whole", "more", low=1, high=1e6),
    Field("apis", "field_apis", "choice", "more", "", choices=_yes_no),
    Field("budget", "field_budget", "number", "more", "", "help_limit", low=1, high=1e12, step=100),
    Field("power_w", "field_power", "number", "more", "", "help_limit", low=1, high=1e12, step=100),
    Field(
        "carbon", "field_carbon", "number", "more", "", "help_limit", low=0.1, high=1e12, step=10
    ),
    Field("currency", "field_currency", "choice", "more", "", choices=_currencies),
    Field("site", "field_site", "choice", "more", "--site", choices=_sites),
    Field("growth", "field_growth", "number", "more", low=-0.9, high=100.0, step=0.1),
    Field("replayed", "field_replayed", "choice", "more", "", "help_replayed", choices=_yes_no),
    Field(
        "router_auc", "field_auc", "number", "more", "", "help_auc", low=0.5, high=0.99, step=0.01
    ),
    Field("model", "field_model", "choice", "look", "--model", choices=_models),
    Field("hw", "field_hw", "choice", "look", "--hw", choices=_devices),
    Field(
        "concurrency",
        "field_concurrency",
        "whole",
        "look",
        "--concurrency",
        "help_concurrency",
        low=1,
        high=1e6,
    ),
    Field("rps", "field_rps", "number", "look", "--rps", "help_rps", low=1e-6, high=1e6),
    Field(
        "slo_ttft_ms",
        "field_slo_ttft",
        "number",
        "look",
        "--slo-ttft-ms",
        "help_slo",
        low=0.01,
        high=1e8,
        step=10.0,
    ),
    Field(
        "slo_tpot_ms",
        "field_slo_tpot",
        "number",
        "look",
        "--slo-tpot-ms",
        "help_slo",
        low=0.01,
        high=1e6,
        step=5.0,
    ),
    Field("count", "field_count", "whole", "look", "--count", "help_open", low=1, high=1e5),
    Field("tp", "field_tp", "whole", "look", "--tp", "help_open", low=1, high=1024),
    Field(
        "precision",
        "field_precision",
        "choice",
        "look",
        "--precision",
        "help_open",
        choices=_formats,
    ),
    Field(
        "engine",
        "field_engine",
        "choice",
        "look",
        "--engine",
        "help_open",
        choices=engines.engine_ids,
    ),
    Field(
        "usd_per_hour",
        "field_usd_per_hour",
        "number",
        "look",
        "--usd-per-hour",
        "help_usd_per_hour",
        low=1e-4,
        high=1e5,
        step=0.1,
    ),
)
"""In the order of the sidebar. ``ask`` and ``more`` change the scenario, ``look`` one estimate."""

BY_KEY = {field.key: field for field in FIELDS}
LOOK_DEFAULTS: dict[str, Value] = {"model": "4B", "hw": "h20-96", "replayed": "no"}
"""What Why shows until the viewer picks, or follows a plan there;
plans aren't replayed until asked."""
REQUIRED = ("base", "isl", "osl", "privacy", "apis", "currency", "site", "replayed", "model", "hw")


def read_value(field: Field, text: str) -> Value:
    """Read a field's value from a link.

    Raises
    ------
    ValueError
        If it isn't one the field can have.
    """
    if field.kind == "many":
        names = tuple(name for name in text.split(",") if name)
        for name in names:
            _check_choice(field, name)
        return names
    if text == "":
        return None
    if field.kind == "choice":
        _check_choice(field, text)
        return text
    number = int(text) if field.kind == "whole" else float(text)
    if not field.low <= number <= field.high:
        msg = f"{field.key} must be between {field.low:g} and {field.high:g}, got {text}"
        raise ValueError(msg)
    return number


def _check_choice(field: Field, text: str) -> None:
    if field.choices is None or text not in field.choices():
        msg = f"{text!r} is not a valid {field.key}"
        raise ValueError(msg)


def as_text(value: Value) -> str:
    """Return a value as a link writes it; what is left open is empty."""
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else f"{value}"
