"""Which benchmarks speak for a task, and how many questions they have."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from advisor.catalogue.names import find
from advisor.catalogue.read import read_record
from advisor.schema.fact import Record, Slug, Source, require_sources

_FILE = Path(__file__).resolve().parent / "tasks.toml"


class Task(Record, frozen=True):
    """A task and the benchmarks that speak for it, most telling first."""

    id: Slug
    benchmarks: tuple[str, ...]


class Benchmark(Record, frozen=True):
    """A benchmark; ``questions`` is left out where it depends on the version."""

    name: str
    questions: Annotated[int, msgspec.Meta(gt=0)] | None = None
    source: str = ""
    note: str = ""


class TaskFile(Record, frozen=True):
    """``tasks.toml``."""

    schema: Literal[1]
    task: tuple[Task, ...]
    benchmark: tuple[Benchmark, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        counted = [b for b in self.benchmark if b.questions is not None]
        require_sources({f"benchmark {b.name}": b.source for b in counted}, self.source)
        known = {b.name for b in self.benchmark}
        for task in self.task:
            missing = [name for name in task.benchmarks if name not in known]
            if missing:
                msg = f"task {task.id!r} names benchmark {missing[0]!r}, which has no entry"
                raise ValueError(msg)


@cache
def task_file() -> TaskFile:
    """Return the tasks and benchmarks."""
    return read_record(_FILE, TaskFile)


@cache
def _tasks() -> dict[str, Task]:
    return {task.id: task for task in task_file().task}


@cache
def _benchmarks() -> dict[str, Benchmark]:
    return {entry.name: entry for entry in task_file().benchmark}


def task_ids() -> tuple[str, ...]:
    """Return the names of all tasks."""
    return tuple(_tasks())


def get_task(name: str) -> Task:
    """Return the task of this name; unknown names raise UnknownNameError with the nearest."""
    return _tasks()[
        find(name, {task: task for task in _tasks()}, "task", "advisor/quality/tasks.toml")
    ]


def questions_of(benchmark: str) -> int | None:
    """Return the number of questions of a benchmark, None where it isn't known."""
    entry = _benchmarks().get(benchmark)
    return entry.questions if entry else None
