"""Running ``llama-bench`` on a model file, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from advisor.bench.timing import Sample
from advisor.errors import InvalidFileError, MissingDataError

PROGRAM = "llama-bench"
PROMPT_TOKENS, OUTPUT_TOKENS = 256, 32
TIME_LIMIT_S = 45.0


@dataclass(frozen=True)
class LlamaSpeed:
    """Tokens per second of one model.

    Parameters
    ----------
    model
        Name of the file.
    prefill, decode
        Tokens per second of a prompt, and of an answer from an empty context.
    """

    model: str
    prefill: Sample
    decode: Sample


def parse(text: str, model: str) -> LlamaSpeed:
    """Read what ``llama-bench -o json`` prints.

    Raises
    ------
    InvalidFileError
        If it isn't what is expected.
    """
    try:
        rows = json.loads(text)
        found = {
            bool(row["n_gen"]): Sample(tuple(float(v) for v in row["samples_ts"])) for row in rows
        }
        return LlamaSpeed(model, found[False], found[True])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{PROGRAM} printed something unexpected: {text[:80]!r}"
        raise InvalidFileError(msg) from error


def run_llama_bench(model: Path, threads: int, repeats: int, gpu: bool) -> LlamaSpeed:
    """Measure a model file with ``llama-bench``.

    Raises
    ------
    MissingDataError
        If it isn't installed.
    InvalidFileError
        If it fails on this file or takes longer than `TIME_LIMIT_S`.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        msg = f"--gguf needs {PROGRAM} on the path: build llama.cpp, or leave --gguf out"
        raise MissingDataError(msg)
    sizes = ["-p", str(PROMPT_TOKENS), "-n", str(OUTPUT_TOKENS), "-r", str(repeats)]
    layers = [] if gpu else ["-ngl", "0"]
    command = [program, "-m", str(model), *sizes, "-t", str(threads), *layers, "-o", "json"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{PROGRAM} took longer than {TIME_LIMIT_S:.0f} s on {model}: take a smaller model"
        raise InvalidFileError(msg) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"{PROGRAM} failed on {model}: {last}"
        raise InvalidFileError(msg)
    return parse(done.stdout, model.name)
