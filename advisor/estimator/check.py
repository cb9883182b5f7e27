"""Checking all fact files: form, names, references between files, parameter counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from advisor.catalogue import devices, engines, models, prices
from advisor.catalogue.claims import claim_file
from advisor.catalogue.names import folder_names
from advisor.catalogue.paths import data_dir
from advisor.catalogue.quality import read_scores, score_ids
from advisor.catalogue.training import phone_file, training_file
from advisor.catalogue.widths import width_file
from advisor.errors import DataError
from advisor.perf.parameters import total_parameters
from advisor.quality import known, pairs, scores, tasks, text
from advisor.schema.fact import Record, facts_of
from advisor.schema.model import Model

PARAMETER_TOLERANCE = 0.005
"""The count derived from the shape must agree with the published one this closely."""


LONE_FILES: dict[str, Callable[[str], Record]] = {
    "training": lambda _: training_file(),
    "phones": lambda _: phone_file(),
    "dependence": lambda _: pairs.dependence(),
    "measured_pairs": lambda _: pairs.measured_pairs(),
    "setting_spread": lambda _: scores.spread_file(),
    "tasks": lambda _: tasks.task_file(),
    "tokenizers": lambda _: text.tokenizer_file(),
    "lengths": lambda _: text.length_file(),
    "routers": lambda _: known.known(),
    "claims": lambda _: claim_file(),
}
"""Fact files of which there is one."""


@dataclass
class CheckReport:
    """What was checked and what is wrong."""

    files: int = 0
    facts: int = 0
    problems: list[str] = field(default_factory=list)

    def read(self, name: str, reader: Callable[[str], Record]) -> Record | None:
        """Read one entry, noting its facts or its fault."""
        self.files += 1
        try:
            record = reader(name)
        except DataError as error:
            self.problems.append(error.message)
            return None
        self.facts += len(facts_of(record))
        return record


def check_all() -> CheckReport:
    """Validate every fact file of the installation."""
    report = CheckReport()
    _names(report)
    for model_id in models.model_ids():
        record = report.read(model_id, models.read_model)
        if isinstance(record, Model):
            report.problems += _parameters(record)
    for device_id in devices.device_ids():
        report.read(device_id, devices.read_device)
    for engine_id in engines.engine_ids():
        report.read(engine_id, engines.read_engine)
    for model_id in score_ids():
        report.read(model_id, read_scores)
    for name, reader in LONE_FILES.items():
        report.read(name, reader)
    _shared_files(report)
    return report


def _names(report: CheckReport) -> None:
    for folder, keys in (
        ("models", ("aliases", "reference_sizes")),
        ("hwprofiles", ("aliases",)),
        ("engines", ("aliases",)),
    ):
        try:
            names = folder_names(data_dir(folder), keys)
        except DataError as error:
            report.problems.append(error.message)
            continue
        report.problems += _ids_match(data_dir(folder), set(names.values()))


def _ids_match(folder: Path, ids: Iterable[str]) -> list[str]:
    problems = []
    for entry in sorted(ids):
        text = (folder / f"{entry}.toml").read_text(encoding="utf-8")
        if f'\nid = "{entry}"\n' not in text:
            problems.append(f"{folder / entry}.toml, line 2: id must be {entry!r}, the file's name")
    return problems


def _parameters(model: Model) -> list[str]:
    if model.shape is None or model.parameters is None or model.parameters.mismatch_reason:
        return []
    published = model.parameters.total.value
    elsewhere = model.parameters.not_in_text_model
    expected = published - (elsewhere.value if elsewhere else 0.0)
    derived = total_parameters(model.shape)
    if abs(derived - expected) <= PARAMETER_TOLERANCE * published:
        return []
    return [
        f"models/{model.id}.toml: parameters.total {expected:,.0f}, but the shape gives "
        f"{derived:,}; mend one or state mismatch_reason"
    ]


def _shared_files(report: CheckReport) -> None:
    device_ids = set(devices.device_ids())
    try:
        files = prices.price_files()
        engines.format_file()
        rows = width_file().width
        constants = devices.efficiency_ids()
        for name in constants:
            report.read(name, devices.read_efficiency)
    except DataError as error:
        report.problems.append(error.message)
        return
    report.files += len(files) + 2
    report.facts += sum(len(f.rental) + len(f.purchase) + len(f.api) for f in files) + len(rows)
    for file in files:
        quoted = {row.device for row in file.rental} | {row.device for row in file.purchase}
        report.problems += [f"pricing: no hardware {d!r}" for d in sorted(quoted - device_ids)]
    report.problems += devices.check_families()
