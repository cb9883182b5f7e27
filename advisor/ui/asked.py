"""Everything a viewer asks, as one frozen record; links and command lines come from it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from advisor.errors import InvalidFileError
from advisor.estimator.request import EstimateRequest
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text
from advisor.ui import question
from advisor.ui.fields import BY_KEY, FIELDS, LOOK_DEFAULTS, as_text, read_value
from advisor.ui.question import OWN, Value, examples


@dataclass(frozen=True)
class Asked:
    """Every field's value in the order of ``FIELDS``, and the viewer's own scenario, if any."""

    values: tuple[tuple[str, Value], ...]
    own: str = ""

    @cached_property
    def by_key(self) -> dict[str, Value]:
        """Values by field."""
        return dict(self.values)

    @cached_property
    def base(self) -> Scenario:
        """The scenario before any field was changed."""
        return base_of(str(self.by_key["base"]), self.own)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario asked about."""
        return question.asked(self.base, self.by_key)

    @property
    def replayed(self) -> bool:
        """Whether the plan is to be checked by replay, and mended until it holds."""
        return self.by_key["replayed"] == "yes"

    @cached_property
    def request(self) -> EstimateRequest:
        """The estimate of one model on one device that Why shows."""
        get = self.by_key.get
        ttft_ms, tpot_ms = _number(get("slo_ttft_ms")), _number(get("slo_tpot_ms"))
        return EstimateRequest(
            model=str(get("model")),
            hw=str(get("hw")),
            isl_tokens=_whole(get("isl")) or 1000,
            osl_tokens=_whole(get("osl")) or 300,
            concurrency=_whole(get("concurrency")),
            rps=_number(get("rps")),
            slo_ttft_s=None if ttft_ms is None else ttft_ms / 1e3,
            slo_tpot_s=None if tpot_ms is None else tpot_ms / 1e3,
            count=_whole(get("count")),
            tp=_whole(get("tp")),
            precision=_name(get("precision")),
            engine=_name(get("engine")),
            usd_per_hour=_number(get("usd_per_hour")),
            site=_name(get("site")),
        )


def _number(value: Value) -> float | None:
    return None if value is None else float(str(value))


def _whole(value: Value) -> int | None:
    return None if value is None else int(float(str(value)))


def _name(value: Value) -> str | None:
    return None if value is None else str(value)


def base_of(name: str, own: str) -> Scenario:
    """Return an example, or the viewer's own scenario from its text."""
    return question.read_own(own, "scenario.toml") if name == OWN else examples()[name]


def first_base() -> str:
    """Return the example a bare address shows."""
    return "customer-service" if "customer-service" in examples() else min(examples())


def defaults(base: str, own: str) -> dict[str, Value]:
    """Return every field as the base has it."""
    found = {field.key: None for field in FIELDS}
    return {**found, **LOOK_DEFAULTS, **question.summary(base_of(base, own)), "base": base}


def asked_of(values: Mapping[str, Value], own: str) -> Asked:
    """Build the record from the widgets' values."""
    return Asked(tuple((field.key, values[field.key]) for field in FIELDS), own)


def from_link(given: Mapping[str, str]) -> tuple[Asked, tuple[Text, ...]]:
    """Return what a link asks, and what was wrong with it: then the base's values stand."""
    wrong: list[Text] = []
    own, base = "", given.get("base", first_base())
    if base == OWN:
        try:
            own = question.unpack(given.get("own", ""))
            question.read_own(own, "link")
        except InvalidFileError:
            wrong.append(Text.of("ui_bad_own"))
            base, own = first_base(), ""
    elif base not in examples():
        wrong.append(Text.of("ui_bad_field", field="base", value=base[:40]))
        base = first_base()
    values = defaults(base, own)
    for key, text in given.items():
        if key not in BY_KEY or key == "base":
            continue
        try:
            values[key] = read_value(BY_KEY[key], text)
        except ValueError:
            wrong.append(Text.of("ui_bad_field", field=key, value=text[:40]))
    return asked_of(values, own), tuple(wrong)


def as_query(asked: Asked, lang: str, data: str, mine: bool = False) -> dict[str, str]:
    """Return a link's parameters: every field, also those at their defaults.

    Parameters
    ----------
    mine
        The viewer's own measurements count: they don't travel, so the link says that they did.
    """
    found = {"lang": lang, **{key: as_text(value) for key, value in asked.values}}
    if asked.by_key["base"] == OWN:
        found["own"] = question.pack(asked.own)
    if mine:
        found["mine"] = "yes"
    return {**found, "data": data}


def link(address: str, asked: Asked, lang: str, data: str, mine: bool = False) -> str:
    """Return the address of this very question."""
    return f"{address}?{urlencode(as_query(asked, lang, data, mine))}"


def estimate_command(asked: Asked, lang: str) -> str:
    """Return the command that gives the numbers of Why."""
    parts = ["advisor", "estimate"]
    for field in FIELDS:
        value = asked.by_key[field.key]
        if field.option and value is not None:
            parts += [field.option, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join([*parts, "--lang", lang] if lang != "en" else parts)


def recommend_command(asked: Asked, lang: str) -> str:
    """Return the command that gives the recommendation; a changed scenario is saved first."""
    base = str(asked.by_key["base"])
    untouched = base != OWN and asked.scenario == asked.base
    parts = ["advisor", "recommend", f"examples/{base}.toml" if untouched else "scenario.toml"]
    if not asked.replayed:
        parts.append("--no-replay")
    return shlex.join([*parts, "--lang", lang] if lang != "en" else parts)
