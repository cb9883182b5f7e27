"""Catalogue lists and entries as tables: every fact with its source and date."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from advisor.catalogue import api_prices, devices, engines, models, prices, quality
from advisor.errors import UnknownNameError
from advisor.report.locale import say, words
from advisor.report.numbers import pad, significant, width
from advisor.schema.fact import Fact, Record, Source, facts_of
from advisor.schema.price import PriceFile, Purchase, Rental


@dataclass(frozen=True)
class Table:
    """Column names and rows of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table_text(table: Table) -> str:
    """Align a table in columns."""
    everything = (table.columns, *table.rows)
    widths = [max(width(row[i]) for row in everything) for i in range(len(table.columns))]
    lines = ["  ".join(pad(c, w) for c, w in zip(row, widths, strict=True)) for row in everything]
    return "\n".join(line.rstrip() for line in lines)


def table_json(table: Table) -> str:
    """Return a table as a JSON list of objects."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _number(fact: Fact | None, scale: float = 1.0) -> str:
    return significant(fact.value / scale) if fact else "–"


def _checked(sources: tuple[Source, ...]) -> str:
    """Return when a source of an entry was last looked at."""
    return str(max((s.accessed for s in sources), default="–"))


def _models() -> Table:
    rows = []
    for model_id in models.model_ids():
        m = models.read_model(model_id)
        p = m.parameters
        rows.append(
            (
                m.id,
                _number(p.total if p else None, 1e9),
                _number(p.active if p else None, 1e9),
                f"{m.max_context_tokens:,}" if m.max_context_tokens else "–",
                m.licence or "–",
                m.release or "–",
                " ".join(m.reference_sizes),
                _checked(m.source),
            )
        )
    head = (
        *("id", "params 1e9", "active 1e9", "context", "licence", "release"),
        *("reference of", "checked"),
    )
    return Table(head, tuple(rows))


def _hardware() -> Table:
    rows = []
    for device_id in devices.device_ids():
        d = devices.read_device(device_id)
        size = d.memory.physical_bytes or d.memory.nominal_bytes
        rows.append(
            (
                d.id,
                d.device_class,
                _number(size, 2**30),
                _number(d.memory.bytes_per_s, 1e9),
                _number(d.peak.bf16_flops_per_s, 1e12),
                _number(d.peak.fp8_flops_per_s, 1e12),
                _number(d.power.tdp_w),
                _checked(d.source),
            )
        )
    head = ("id", "class", "GiB", "GB/s", "bf16 TFLOP/s", "fp8 TFLOP/s", "TDP W", "checked")
    return Table(head, tuple(rows))


def _price_row(row: Rental | Purchase, sources: tuple[Source, ...]) -> tuple[str, ...]:
    title = next(s.title for s in sources if s.id == row.source)
    if isinstance(row, Rental):
        per = f"{row.price_per_device_hour:g} {row.currency}/h"
        return (row.device, per, row.terms, row.provider, row.region, str(row.date), title)
    high = f"–{row.price_high:,.0f}" if row.price_high else ""
    per = f"{row.price:,.0f}{high} {row.currency}"
    what = f"buy {row.devices}" if row.devices > 1 else "buy"
    return (row.device, per, what, row.kind, row.region or "–", str(row.date), title)


_PRICE_HEAD = ("id", "price", "terms", "seller", "region", "date", "source")


def _quotes(file: PriceFile) -> tuple[Rental | Purchase, ...]:
    return (*file.rental, *file.purchase)


def _price_rows(file: PriceFile, wanted: str | None) -> list[tuple[str, ...]]:
    found = [
        _price_row(row, file.source)
        for row in _quotes(file)
        if wanted is None or row.device == wanted
    ]
    for row in file.api:
        if wanted is None or row.model == wanted:
            title = next(s.title for s in file.source if s.id == row.source)
            per = f"{row.input_per_mtok:g}|{row.output_per_mtok:g} {row.currency}/Mtok"
            found.append(
                (
                    row.model,
                    per,
                    "api in|out",
                    row.provider,
                    row.region or "–",
                    str(row.valid_from),
                    title,
                )
            )
    return found


def _prices() -> Table:
    rows = [row for file in prices.price_files() for row in _price_rows(file, None)]
    return Table(_PRICE_HEAD, tuple(sorted(rows)))


def _price_entry(name: str) -> Table:
    """Return the prices of a device, else of an API model."""
    try:
        device = devices.get_device(name)
    except UnknownNameError:
        return _api_entry(name)
    rows = [row for file in prices.price_files() for row in _price_rows(file, device.id)]
    if not rows:
        rows = [(device.id, "unknown", "–", "–", "–", "–", "no price of this device is known")]
    return Table(_PRICE_HEAD, tuple(rows))


def _api_entry(name: str) -> Table:
    now = dt.datetime.now(tz=dt.UTC)
    rows = [
        row for file in prices.price_files() for row in _price_rows(file, name) if "api" in row[2]
    ]
    if not rows:
        quote = api_prices.api_price(
            name, now, sellers=prices.api_sellers(), overrides=prices.api_overrides()
        )
        per = f"{quote.input_per_mtok:g}|{quote.output_per_mtok:g} {quote.currency}/Mtok"
        rows = [(name, per, "api in|out", quote.provider, "–", str(quote.as_of), quote.source)]
    return Table(_PRICE_HEAD, tuple(rows))


def _quality() -> Table:
    rows = []
    for model_id in quality.score_ids():
        file = quality.read_scores(model_id)
        rows.append((file.model, file.name, str(len(file.score))))
    return Table(("id", "name", "scores"), tuple(rows))


def _quality_entry(name: str) -> Table:
    file = quality.get_scores(name)
    titles = {s.id: s.title for s in file.source}
    rows = [
        (
            row.benchmark,
            f"{row.score:g} {row.unit}",
            row.setting or "–",
            row.variant or "–",
            str(row.date or "–"),
            titles[row.source],
        )
        for row in sorted(file.score, key=lambda r: (r.benchmark, r.setting))
    ]
    return Table(("benchmark", "score", "setting", "variant", "date", "source"), tuple(rows))


def _engines() -> Table:
    rows = [
        (e.id, e.name, e.version, " ".join(e.device_classes), " ".join(e.default_for) or "–")
        for e in map(engines.read_engine, engines.engine_ids())
    ]
    return Table(("id", "name", "version", "runs on", "default for"), tuple(rows))


def _formats() -> Table:
    file = engines.format_file()
    titles = {s.id: s.title for s in file.source}
    rows = [
        (f.id, f"{f.bits_per_weight:g}", f"{f.head_bits:g}", f.compute, f.name, titles[f.source])
        for f in file.format
    ]
    return Table(("id", "bits", "head bits", "computes in", "name", "source"), tuple(rows))


def _facts(record: Record) -> Table:
    """List every fact of a record with grade and source, then its plain fields."""
    sources: dict[str, Source] = {s.id: s for s in getattr(record, "source", ())}
    rows: list[tuple[str, ...]] = [
        (
            path,
            f"{fact.value:.6g}"
            + (f" ({fact.low:g}–{fact.high:g})" if fact.low and fact.high else ""),
            fact.grade,
            f"{sources[fact.source].title} [{sources[fact.source].accessed}]",
            fact.note,
        )
        for path, fact in facts_of(record).items()
    ]
    for name, value in msgspec.to_builtins(record).items():
        if isinstance(value, str | int | float | bool) and name != "schema":
            rows.append((name, str(value), "", "", ""))
        elif name in ("aliases", "formats", "reference_sizes") and value:
            rows.append((name, ", ".join(value), "", "", ""))
    shape = getattr(record, "shape", None)
    if shape is not None:
        source = sources[shape.source]
        for layer in shape.layers:
            text = msgspec.json.encode(layer).decode()
            rows.append(("shape.layers", text, "", f"{source.title} [{source.accessed}]", ""))
    return Table(("fact (SI units)", "value", "grade", "source [accessed]", "note"), tuple(rows))


def _format_entry(name: str) -> Table:
    wanted = engines.get_format(name).id
    table = _formats()
    return Table(table.columns, tuple(row for row in table.rows if row[0] == wanted))


_LISTS: dict[str, Callable[[], Table]] = {
    "models": _models,
    "hardware": _hardware,
    "prices": _prices,
    "quality": _quality,
    "engines": _engines,
    "formats": _formats,
}
_ENTRIES: dict[str, Callable[[str], Table]] = {
    "models": lambda name: _facts(models.get_model(name)),
    "hardware": lambda name: _facts(devices.get_device(name)),
    "prices": _price_entry,
    "quality": _quality_entry,
    "engines": lambda name: _facts(engines.get_engine(name)),
    "formats": _format_entry,
}


FREE_TEXT = ("source", "source [accessed]", "note", "setting", "seller")
"""Columns whose texts stay in the language of their source."""

_HEADS = {
    "id": "col_id",
    "params 1e9": "col_params",
    "active 1e9": "col_active",
    "context": "col_context",
    "licence": "col_licence",
    "release": "col_release",
    "reference of": "col_reference",
    "class": "col_device_class",
    "TDP W": "col_tdp",
    "checked": "col_checked",
    "price": "col_price",
    "terms": "col_terms",
    "seller": "col_seller",
    "region": "col_region",
    "date": "col_date",
    "source": "col_source",
    "name": "col_name",
    "scores": "col_scores",
    "benchmark": "col_benchmark",
    "score": "col_score",
    "setting": "col_setting",
    "variant": "col_variant",
    "version": "col_version",
    "runs on": "col_runs_on",
    "default for": "col_default_for",
    "bits": "col_bits",
    "head bits": "col_head_bits",
    "computes in": "col_computes_in",
    "fact (SI units)": "col_fact",
    "value": "col_value",
    "grade": "col_grade",
    "source [accessed]": "col_source_accessed",
    "note": "col_note",
}
"""Column → key of its heading; others are units, the same in every language."""

CELLS = {
    "class": "",
    "terms": "",
    "region": "",
    "grade": "",
    "variant": ", ",
    "runs on": " ",
    "default for": " ",
    "seller": ", ",
}
"""Columns of fixed words → what stands between the words of a cell."""

_COUNTED = re.compile(r"buy (\d+)")


def _cell(word: str, lang: str) -> str:
    known = words(lang)
    many = _COUNTED.fullmatch(word)
    if many:
        return known["cell_buy_many"].format(count=many[1])
    return known.get(f"cell_{word}", word)


def in_words(table: Table, lang: str) -> Table:
    """Return a table with headings and fixed words in a language; free text stays as it is."""
    heads = tuple(say(_HEADS[c], lang) if c in _HEADS else c for c in table.columns)
    joints = [CELLS.get(c) for c in table.columns]

    def told(cell: str, joint: str | None) -> str:
        if joint is None:
            return cell
        parts = cell.split(joint) if joint else [cell]
        return (joint or "").join(_cell(part, lang) for part in parts)

    rows = tuple(tuple(map(told, row, joints)) for row in table.rows)
    return Table(heads, rows)


def listing(kind: str) -> Table:
    """Return the list of one kind of fact."""
    return _LISTS[kind]()


def entry(kind: str, name: str) -> Table:
    """Return all that is known of one entry; unknown names raise UnknownNameError."""
    return _ENTRIES[kind](name)
