"""Facts about training runs, phones in use and lengths of text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from advisor.catalogue.names import find
from advisor.catalogue.read import read_record
from advisor.errors import MissingDataError
from advisor.schema.fact import Fact
from advisor.schema.training import PhoneFile, Run, TextLengthFile, TrainingFile

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


@cache
def text_length_file() -> TextLengthFile:
    """Read the tokens per character."""
    return read_record(_FOLDER / "text_lengths.toml", TextLengthFile)


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


def tokens_per_character(model_id: str, language: Literal["en", "zh"]) -> Fact:
    """Return how many tokens a character of text takes a model.

    Raises
    ------
    MissingDataError
        If the tokenizer's figure is not known: lengths of others don't stand in.
    """
    rows = [(p, row) for row in text_length_file().tokens_per_character for p in row.prefixes]
    matching = [(p, row) for p, row in rows if model_id.startswith(p)]
    fact: Fact | None = (
        getattr(max(matching, key=lambda m: len(m[0]))[1], language) if matching else None
    )
    if fact is None:
        msg = f"tokens per character ({language}) of {model_id} are not known"
        raise MissingDataError(msg)
    return fact
