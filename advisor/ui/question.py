"""The scenario behind the fields: a base (an example or the viewer's own), and what was changed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import msgspec
import numpy as np
import tomli_w
from msgspec.structs import replace

from advisor.catalogue.local_models import is_local
from advisor.catalogue.paths import data_dir
from advisor.catalogue.scenarios import parse_scenario, read_scenario
from advisor.errors import InvalidFileError, UsageError
from advisor.schema.question import ClassFloor, Owned, Use
from advisor.schema.scenario import Scenario
from advisor.schema.traffic_facts import Lognormal, Preset, Quantiles
from advisor.schema.workload import SECONDS_PER_MONTH, Slo, TrafficClass
from advisor.traffic.facts import get_preset

DAYS_PER_MONTH = SECONDS_PER_MONTH / 86400.0
OWN = "own"
"""Name of the viewer's own scenario among the examples."""

MAX_TEXT_BYTES = 100_000
MAX_LINK_CHARACTERS = 6_000
Value = str | int | float | tuple[str, ...] | None


@cache
def examples() -> dict[str, Scenario]:
    """Return the shipped scenarios by name."""
    paths = sorted(data_dir("examples").glob("*.toml"))
    return {p.stem: read_scenario(p) for p in paths}


def read_own(text: str, name: str) -> Scenario:
    """Read a viewer's scenario as the command reads one; it may not name files.

    Raises
    ------
    InvalidFileError
        If it breaks the schema, is too long, or would make the server open a file.
    """
    if len(text.encode()) > MAX_TEXT_BYTES:
        msg = f"{name} is longer than {MAX_TEXT_BYTES:,} bytes"
        raise InvalidFileError(msg)
    scenario = parse_scenario(text, name)
    files = [s for s in _strings(msgspec.to_builtins(scenario)) if _names_file(s)]
    files += [f for f in (scenario.workload.trace, scenario.quality.evaluation_csv) if f]
    if files:
        msg = (
            f"{name} names the file {files[0]!r}: a scenario loaded in the browser can only use "
            "the catalogue; use the command line for files"
        )
        raise InvalidFileError(msg)
    return scenario


def _names_file(text: str) -> bool:
    return text.endswith((".toml", ".csv", ".jsonl", ".parquet")) or is_local(text)


def _strings(tree: object, key: str = "") -> list[str]:
    """Return every string that may name a thing; sentences are no names."""
    if isinstance(tree, Mapping):
        return [s for k, v in tree.items() for s in _strings(v, str(k))]
    if isinstance(tree, list | tuple):
        return [s for v in tree for s in _strings(v, key)]
    sentence = key in ("title", "title_zh", "latency_source", "source", "because")
    return [tree] if isinstance(tree, str) and not sentence else []


def pack(text: str) -> str:
    """Return a scenario's text as a link can carry it; empty if it would be too long."""
    packed = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()
    return packed if len(packed) <= MAX_LINK_CHARACTERS else ""


def unpack(packed: str) -> str:
    """Return the text a link carries.

    Raises
    ------
    InvalidFileError
        If it is broken, or grows beyond what a scenario may be.
    """
    opener = zlib.decompressobj()
    try:
        raw = base64.urlsafe_b64decode(packed[:MAX_LINK_CHARACTERS])
        text = opener.decompress(raw, MAX_TEXT_BYTES)
        if opener.unconsumed_tail:
            msg = "the link's scenario is too long"
            raise InvalidFileError(msg)
        if not opener.eof:
            msg = "the link's scenario is cut off"
            raise InvalidFileError(msg)
        return text.decode()
    except (ValueError, zlib.error) as error:
        msg = f"the link's scenario is broken: {error}"
        raise InvalidFileError(msg) from error


def as_toml(scenario: Scenario) -> str:
    """Return a scenario as TOML; what stands at its default is left out."""
    return _as_toml(msgspec.json.encode(scenario))


@lru_cache(maxsize=64)
def _as_toml(encoded: bytes) -> str:
    return tomli_w.dumps(_stated(msgspec.json.decode(encoded, type=Scenario)))


def _stated(record: msgspec.Struct) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(record):
        value = getattr(record, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if value is None or (value == default and field.name != "schema"):
            continue
        found[field.encode_name] = _plain(value)
    return found


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return _stated(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


@dataclass(frozen=True)
class Lengths:
    """Mean prompt and answer tokens, and standard deviation over mean of each."""

    isl: float
    osl: float
    isl_cv: float
    osl_cv: float


@lru_cache(maxsize=64)
def _preset_lengths(preset: Preset) -> Lengths:
    law = preset.lengths
    if isinstance(law, Lognormal):
        return Lengths(law.isl_tokens, law.osl_tokens, law.isl_cv, law.osl_cv)
    draws = [np.asarray(x, dtype=float) for x in (law.input_tokens, law.output_tokens)]
    if isinstance(law, Quantiles):
        at = (np.arange(4096) + 0.5) / 4096
        draws = [np.interp(at, law.probabilities, x) for x in draws]
    (i, o) = draws
    return Lengths(
        float(i.mean()), float(o.mean()), float(i.std() / i.mean()), float(o.std() / o.mean())
    )


def lengths_of(c: TrafficClass) -> Lengths | None:
    """Return a class's lengths; None if only a trace knows them."""
    if c.preset is not None:
        return _preset_lengths(get_preset(c.preset))
    if c.isl_tokens is None or c.osl_tokens is None:
        return None
    return Lengths(c.isl_tokens, c.osl_tokens, c.isl_cv, c.osl_cv)


def _mean(scenario: Scenario, name: str) -> float | None:
    known = [(c.share, lengths_of(c)) for c in scenario.workload.classes]
    parts = [(share, getattr(found, name)) for share, found in known if found]
    total = sum(share for share, _ in parts)
    return sum(share * value for share, value in parts) / total if parts else None


def _per_day(s: Scenario) -> float | None:
    w = s.workload
    if w.requests_per_month is not None:
        return _shown(w.requests_per_month / DAYS_PER_MONTH)
    return _shown(w.requests_per_s * 86400.0) if w.requests_per_s is not None else None


def _shown(per_day: float) -> float:
    """Return a rate as people would type it: three significant digits below 1000, else whole."""
    return float(f"{per_day:.3g}") if per_day < 1000 else float(round(per_day))


def _floor(s: Scenario) -> float | None:
    found = [f.at_least for f in s.floors] + (
        [s.quality.overall.at_least] if s.quality.overall else []
    )
    return min(found) if found else None


def _limit(s: Scenario, name: str) -> float | None:
    found = [getattr(c.slo, name) for c in s.workload.classes if c.slo]
    return min((v for v in found if v is not None), default=None)


def _privacy(s: Scenario) -> str:
    order = ("any", "on-premises", "on-device")
    return max((c.privacy for c in s.workload.classes), key=order.index, default="any")


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


READ: dict[str, Callable[[Scenario], Value]] = {
    "per_day": _per_day,
    "isl": lambda s: _rounded(_mean(s, "isl")),
    "osl": lambda s: _rounded(_mean(s, "osl")),
    "floor": _floor,
    "ttft_s": lambda s: _limit(s, "ttft_s"),
    "tpot_s": lambda s: _limit(s, "tpot_s"),
    "e2e_s": lambda s: _limit(s, "e2e_s"),
    "privacy": _privacy,
    "budget": lambda s: s.limits.per_month,
    "power_w": lambda s: s.limits.power_w,
    "carbon": lambda s: s.limits.kgco2e_per_month,
    "currency": lambda s: s.money.currency,
    "site": lambda s: s.money.site,
    "growth": lambda s: s.workload.growth_per_year,
    "rent": lambda s: () if s.use.rent == "any" else tuple(s.use.rent),
    "owned_hw": lambda s: s.owned[0].hw if s.owned else None,
    "owned_count": lambda s: s.owned[0].count if s.owned else None,
    "apis": lambda s: "yes" if s.use.apis else "no",
    "router_auc": lambda s: s.routing.router_auc,
}
"""Field → its value in a scenario."""


def summary(scenario: Scenario) -> dict[str, Value]:
    """Return what the sidebar shows of a scenario."""
    return {key: read(scenario) for key, read in READ.items()}


def _classes(s: Scenario, change: Callable[[TrafficClass], TrafficClass]) -> Scenario:
    return replace(s, workload=replace(s.workload, classes=tuple(map(change, s.workload.classes))))


def _with_per_day(s: Scenario, value: float) -> Scenario:
    rate = {"requests_per_month": value * DAYS_PER_MONTH, "requests_per_s": None}
    return replace(s, workload=replace(s.workload, **rate))


def _with_lengths(s: Scenario, name: str, value: float) -> Scenario:
    """Scale a length of every class so that the mean is as asked; the spread stays."""
    scale = value / (_mean(s, name) or value)

    def change(c: TrafficClass) -> TrafficClass:
        found = lengths_of(c)
        if found is None:
            return c
        preset = get_preset(c.preset) if c.preset else None
        isl = found.isl * (scale if name == "isl" else 1.0)
        prefix = c.shared_prefix_tokens or (preset.shared_prefix_tokens if preset else 0)
        return replace(
            c,
            preset=None,
            isl_tokens=isl,
            osl_tokens=found.osl * (scale if name == "osl" else 1.0),
            isl_cv=found.isl_cv,
            osl_cv=found.osl_cv,
            shared_prefix_tokens=min(prefix, int(isl)),
            turns=c.turns or (preset.turns if preset else None),
            gap_s=c.gap_s if c.gap_s is not None else (preset.gap_s if preset else None),
            gap_log_sd=c.gap_log_sd
            if c.gap_log_sd is not None
            else (preset.gap_log_sd if preset else None),
        )

    return _classes(s, change)


def _within(score: float) -> float:
    return round(min(max(score, 0.001), 0.999), 9)


def _with_floor(s: Scenario, value: float | None) -> Scenario:
    """Move every floor by as much as the lowest; without any, each class with a metric gets one."""
    q = s.quality
    if value is None:
        metric = q.metric or (q.overall.metric if q.overall else None)
        return replace(s, quality=replace(q, overall=None, floors=(), metric=metric))
    moved = value - (_floor(s) or value)
    if q.overall:
        at_least = _within(q.overall.at_least + moved)
        q = replace(q, overall=replace(q.overall, at_least=at_least))
    floors = tuple(replace(f, at_least=_within(f.at_least + moved)) for f in q.floors)
    if not floors and not q.overall:
        named = [(c.name, s.metric_of(c.name)) for c in s.workload.classes]
        floors = tuple(
            ClassFloor(traffic_class=name, metric=metric, at_least=value)
            for name, metric in named
            if metric
        )
    return replace(s, quality=replace(q, floors=floors))


def _with_limit(s: Scenario, name: str, value: float | None) -> Scenario:
    """Scale a latency limit of every class so that the tightest is as asked."""
    stated = _limit(s, name)

    def change(c: TrafficClass) -> TrafficClass:
        limits = {n: getattr(c.slo, n) if c.slo else None for n in ("ttft_s", "tpot_s", "e2e_s")}
        old = limits[name]
        limits[name] = old * value / stated if value and old and stated else value
        if not any(limits.values()):
            return replace(c, slo=None)
        percentile = c.slo.percentile if c.slo else 95.0
        return replace(c, slo=Slo(**limits, percentile=percentile))

    return _classes(s, change)


def _use(s: Scenario, **changes: object) -> Scenario:
    use: Use = replace(s.use, **changes)
    return replace(s, use=use)


def _with_owned(s: Scenario, hw: str | None, count: int | None) -> Scenario:
    kept = (Owned(hw=hw, count=count or 1),) if hw else ()
    return replace(s, owned=(*kept, *s.owned[1:]))


def _first_owned(s: Scenario) -> tuple[str | None, int | None]:
    return (s.owned[0].hw, s.owned[0].count) if s.owned else (None, None)


WRITE: dict[str, Callable[[Scenario, Any], Scenario]] = {
    "per_day": lambda s, v: _with_per_day(s, float(v)),
    "isl": lambda s, v: _with_lengths(s, "isl", float(v)),
    "osl": lambda s, v: _with_lengths(s, "osl", float(v)),
    "floor": _with_floor,
    "ttft_s": lambda s, v: _with_limit(s, "ttft_s", v),
    "tpot_s": lambda s, v: _with_limit(s, "tpot_s", v),
    "e2e_s": lambda s, v: _with_limit(s, "e2e_s", v),
    "privacy": lambda s, v: _classes(s, lambda c: replace(c, privacy=v)),
    "budget": lambda s, v: replace(s, limits=replace(s.limits, per_month=v)),
    "power_w": lambda s, v: replace(s, limits=replace(s.limits, power_w=v)),
    "carbon": lambda s, v: replace(s, limits=replace(s.limits, kgco2e_per_month=v)),
    "currency": lambda s, v: replace(s, money=replace(s.money, currency=v)),
    "site": lambda s, v: replace(s, money=replace(s.money, site=v or "world")),
    "growth": lambda s, v: replace(s, workload=replace(s.workload, growth_per_year=v or 0.0)),
    "rent": lambda s, v: _use(s, rent=v or "any"),
    "owned_hw": lambda s, v: _with_owned(s, v, _first_owned(s)[1]),
    "owned_count": lambda s, v: _with_owned(s, _first_owned(s)[0], v),
    "apis": lambda s, v: _use(s, apis=s.use.apis if v == "yes" else ()),
    "router_auc": lambda s, v: replace(s, routing=replace(s.routing, router_auc=v)),
}
"""Field → the scenario with that value."""


def asked(base: Scenario, values: Mapping[str, Value]) -> Scenario:
    """Return the base with every field that differs from it changed, in the order of ``WRITE``.

    Raises
    ------
    UsageError
        If the fields together make no valid scenario.
    """
    stated = summary(base)
    found = base
    try:
        for key, write in WRITE.items():
            if key in values and values[key] != stated[key]:
                found = write(found, values[key])
        return msgspec.convert(msgspec.to_builtins(found), Scenario)
    except (ValueError, msgspec.ValidationError) as error:
        raise UsageError(str(error)) from error
