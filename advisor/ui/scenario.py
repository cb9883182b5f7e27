"""What a viewer asks, as one frozen record; links, files and command lines come from it."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from advisor.errors import InvalidFileError
from advisor.estimator.request import EstimateRequest
from advisor.schema.text import Text
from advisor.ui.fields import BY_KEY, FIELDS, Field, Value

MAX_SCENARIO_BYTES = 100_000


@dataclass(frozen=True)
class Scenario:
    """Every field's value, in the order of ``FIELDS``."""

    values: tuple[tuple[str, Value], ...]

    def __getitem__(self, key: str) -> Value:
        return dict(self.values)[key]

    def with_values(self, **changes: Value) -> Scenario:
        """Return the scenario with some values changed."""
        return scenario_of({**dict(self.values), **changes})


def scenario_of(values: Mapping[str, Value]) -> Scenario:
    """Build a scenario; fields not given keep their defaults."""
    return Scenario(tuple((f.key, values.get(f.key, f.default)) for f in FIELDS))


def read_value(field: Field, text: str) -> Value:
    """Read a field's value from a link or file.

    Raises
    ------
    ValueError
        If it isn't one the field can have.
    """
    if text == "":
        if field.default is not None:
            msg = f"{field.key} can't be empty"
            raise ValueError(msg)
        return None
    if field.kind == "choice":
        valid = field.choices() if field.choices else ()
        if text not in valid:
            msg = f"{text!r} is not a valid {field.key}"
            raise ValueError(msg)
        return text
    number = int(text) if field.kind == "whole" else float(text)
    if not field.low <= number <= field.high:
        msg = f"{field.key} must be between {field.low:g} and {field.high:g}, got {text}"
        raise ValueError(msg)
    return number


def read_values(texts: Mapping[str, str]) -> tuple[dict[str, Value], tuple[Text, ...]]:
    """Return the values a link or file gives, and what was wrong with the others.

    Unknown keys are left to the caller: a link carries language and data version too.
    """
    found: dict[str, Value] = {}
    wrong: list[Text] = []
    for key, text in texts.items():
        if key not in BY_KEY:
            continue
        try:
            found[key] = read_value(BY_KEY[key], text)
        except ValueError:
            wrong.append(Text.of("ui_bad_field", field=key, value=text[:40]))
    return found, tuple(wrong)


def as_texts(scenario: Scenario) -> dict[str, str]:
    """Return every field as link and file write it; what is left open is empty."""
    return {key: "" if value is None else f"{value}" for key, value in scenario.values}


def link(base_url: str, scenario: Scenario, lang: str, data: str) -> str:
    """Return the address of this very scenario: every field, the language, the data version."""
    return f"{base_url}?{urlencode({'lang': lang, **as_texts(scenario), 'data': data})}"


def as_toml(scenario: Scenario, data: str) -> str:
    """Return the scenario as a file to keep; what is left open is a comment."""
    import tomli_w

    given = {key: value for key, value in scenario.values if value is not None}
    opened = [f"# {key} =" for key, value in scenario.values if value is None]
    return "\n".join([f"# data {data}", tomli_w.dumps(given).rstrip(), *opened, ""])


def from_toml(text: str, name: str) -> Scenario:
    """Read a scenario file.

    Raises
    ------
    InvalidFileError
        If it is not TOML, names a field that doesn't exist or a value it can't have.
    """
    try:
        read = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{name}: not TOML: {error}"
        raise InvalidFileError(msg) from error
    values: dict[str, Value] = {}
    for key, value in read.items():
        if key not in BY_KEY:
            msg = f"{name}: no field {key!r}; valid: {', '.join(BY_KEY)}"
            raise InvalidFileError(msg, suggestions=tuple(BY_KEY))
        try:
            values[key] = read_value(BY_KEY[key], str(value))
        except ValueError as error:
            msg = f"{name}: {error}"
            raise InvalidFileError(msg) from error
    return scenario_of(values)


def _number(value: Value) -> float | None:
    return None if value is None else float(value)


def _whole(value: Value) -> int | None:
    return None if value is None else int(value)


def _name(value: Value) -> str | None:
    return None if value is None else str(value)


def to_request(s: Scenario) -> EstimateRequest:
    """Return the estimate the scenario asks for; a rate and a concurrency exclude each other."""
    tpot_ms = _number(s["tpot_ms"])
    return EstimateRequest(
        model=str(s["model"]),
        hw=str(s["hw"]),
        isl_tokens=_whole(s["isl"]) or 1,
        osl_tokens=_whole(s["osl"]) or 1,
        concurrency=_whole(s["concurrency"]),
        rps=_number(s["rps"]),
        slo_ttft_s=_number(s["ttft_s"]),
        slo_tpot_s=None if tpot_ms is None else tpot_ms / 1e3,
        count=_whole(s["count"]),
        tp=_whole(s["tp"]),
        precision=_name(s["precision"]),
        engine=_name(s["engine"]),
        usd_per_hour=_number(s["usd_per_hour"]),
        site=_name(s["site"]),
    )


def command(s: Scenario, lang: str) -> str:
    """Return the command that gives the same numbers."""
    parts = ["advisor", "estimate"]
    for field in FIELDS:
        value = s[field.key]
        if value is None or not field.option:
            continue
        if isinstance(value, float):
            value = f"{value * field.per_option:g}"
        parts += [field.option, str(value)]
    return shlex.join([*parts, "--lang", lang] if lang != "en" else parts)
