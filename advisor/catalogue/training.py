"""Facts about training runs and phones in use."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from advisor.catalogue.names import find
from advisor.catalogue.read import read_record
from advisor.schema.fact import Fact
from advisor.schema.training import PhoneFile, Run, TrainingFile

_FOLDER = Path(__file__).resolve().parent
Job = Literal["pretrain", "finetune"]


@cache
def training_file() -> TrainingFile:
    """Read the facts about training."""
    return read_record(_FOLDER / "training.toml", TrainingFile)


@cache
def phone_file() -> PhoneFile:
    """Read the facts about phones in use."""
    return read_record(_FOLDER / "phones.toml", PhoneFile)


def phone_source(fact: Fact) -> str:
    """Return the title of the source of a fact about phones."""
    return next(s.title for s in phone_file().source if s.id == fact.source)


def training_mfu(architecture: str, job: Job) -> Fact:
    """Return the utilisation that devices of an architecture reach in a kind of training."""
    rows = [row for row in training_file().utilisation if row.job == job]
    own = [row for row in rows if architecture in row.architectures]
    return (own or [row for row in rows if not row.architectures])[0].mfu


def training_run(name: str) -> Run:
    """Return a published training run; unknown names raise UnknownNameError."""
    runs = {run.id: run for run in training_file().run}
    known = {run_id: run_id for run_id in runs}
    return runs[find(name, known, "published training run", "advisor/catalogue/training.toml")]
