"""``advisor import-bench``."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advisor.cli.output import Lang
from advisor.errors import UsageError
from advisor.schema.text import Text

if TYPE_CHECKING:
    from advisor.calibration.overlay import Import, Imported


def import_bench(  # noqa: PLR0913 - one parameter an option is how typer reads a command
    file: Annotated[Path, typer.Argument(help="Result file: JSON, JSON lines or CSV.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model; default: the file's.")
    ] = None,
    hw: Annotated[
        str | None, typer.Option("--hw", help="Device; needed unless the file names it.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="Engine; default: the file's.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", help="Weight format; default: the file's or the model's own."),
    ] = None,
    kv_precision: Annotated[
        str | None, typer.Option("--kv-precision", help="KV-cache format.")
    ] = None,
    tp: Annotated[int | None, typer.Option("--tp", help="Tensor parallel.")] = None,
    pp: Annotated[int | None, typer.Option("--pp", help="Pipeline parallel.")] = None,
    dp: Annotated[int | None, typer.Option("--dp", help="Attention data parallel.")] = None,
    ep: Annotated[int | None, typer.Option("--ep", help="Expert parallel.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="File or folder; default: $XDG_DATA_HOME/advisor/overlays."
        ),
    ] = None,
    date: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day of the import; default: today."),
    ] = None,
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the text.")] = Lang.EN,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, SI units.")] = False,
) -> None:
    """Turn a benchmark's result file into a measured overlay for `estimate --overlay`.

    Reads llama-bench (-o json), vllm bench serve, SGLang bench_serving, AIPerf, genai-perf,
    GuideLLM and LLMPerf. Prints the error before and after on configurations held out.

    advisor import-bench result.json --model 4B --hw h100 --precision bf16
    """
    from advisor.calibration.overlay import Options
    from advisor.calibration.overlay import import_bench as run

    options = Options(model, hw, engine, precision, kv_precision, tp, pp, dp, ep)
    found = run(file, options, date.date() if date else dt.date.today())
    paths = _write(found, out)
    if as_json:
        typer.echo(json.dumps(_plain(found, paths), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(_text(found, paths, hw, lang)))


def _write(found: Import, out: Path | None) -> list[Path]:
    from advisor.calibration.overlay_write import overlay_folder, write_overlay

    if out is not None and not out.is_dir() and len(found.overlays) > 1:
        ids = ", ".join(one.overlay.id for one in found.overlays)
        msg = f"the file holds {len(found.overlays)} deployments ({ids}): give a folder to --out"
        raise UsageError(msg)
    paths = []
    for one in found.overlays:
        path = overlay_folder() if out is None else out
        if out is None or out.is_dir():
            path = path / f"{one.overlay.id}.toml"
        elif path.suffix != ".toml":
            msg = f"--out {path} must end in .toml or be a folder that exists"
            raise UsageError(msg)
        paths.append(write_overlay(one.overlay, path))
    return paths


def _plain(found: Import, paths: list[Path]) -> dict[str, Any]:
    import msgspec

    return {
        "schema": 1,
        "tool": found.tool,
        "points": found.points,
        "unused": [{"line": b.line, "reason": b.reason} for b in found.bad],
        "overlays": [
            {
                "path": str(path),
                "held_out_configurations": one.outcome.held_out,
                "overlay": msgspec.to_builtins(one.overlay),
            }
            for one, path in zip(found.overlays, paths, strict=True)
        ],
    }


def _text(found: Import, paths: list[Path], hw: str | None, lang: str) -> list[str]:
    from advisor.report.import_bench import import_head, import_texts
    from advisor.report.locale import say

    lines = import_head(found, lang)
    for one, path in zip(found.overlays, paths, strict=True):
        written = Text.of("import_written", path=str(path))
        lines += ["", *(say(text, lang) for text in (*import_texts(one), written))]
        lines.append("  " + _question(one, path, hw))
    return lines


def _question(one: Imported, path: Path, hw: str | None) -> str:
    """Return the estimate that this overlay makes ``measured``."""
    import shlex

    target, reach = one.overlay.target, one.overlay.reach
    isl = round(min(max(one.example.isl, reach.isl_low), reach.isl_high))
    osl = round(min(max(one.example.osl, reach.osl_low), reach.osl_high))
    flight = one.example.concurrency or round(reach.concurrency_high)
    words = ["advisor", "estimate", "--model", target.model, "--hw", hw or target.device]
    words += ["--isl", str(isl), "--osl", str(osl), "--concurrency", str(max(flight, 1))]
    return shlex.join([*words, "--overlay", str(path)])
