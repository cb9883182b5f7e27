"""``advisor simulate`` and ``advisor validate-log``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advisor.cli.output import Lang, progress, tell_compiling
from advisor.errors import UsageError

if TYPE_CHECKING:
    from advisor.schema.workload import Slo
    from advisor.simulator.result import SimulationResult

MS_PER_S = 1e3
TRAFFIC, FLEET, LIMITS, OUTPUT = "Traffic", "Fleet", "Limits", "Output"


def _option(help_text: str, panel: str, *names: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(*names, help=help_text, rich_help_panel=panel)
    return info


def simulate(  # noqa: PLR0913 - one parameter an option is how typer reads a command
    scenario: Annotated[
        Path | None, _option("Scenario TOML with a [fleet].", TRAFFIC, "--scenario", "-s")
    ] = None,
    trace: Annotated[
        Path | None, _option("Trace file or log folder; its times and lengths.", TRAFFIC, "--trace")
    ] = None,
    trace_format: Annotated[
        str | None, _option("Trace format; default: told by its content.", TRAFFIC, "--format")
    ] = None,
    preset: Annotated[
        str | None, _option("Traffic without a file: chat, rag, code ...", TRAFFIC, "--preset")
    ] = None,
    rps: Annotated[float | None, _option("Requests per second of it.", TRAFFIC, "--rps")] = None,
    requests: Annotated[
        int | None, _option("Stop after so many requests.", TRAFFIC, "--requests")
    ] = None,
    rate_scale: Annotated[
        float, _option("Trace times as fast, times.", TRAFFIC, "--rate-scale")
    ] = 1.0,
    seed: Annotated[int, _option("Seed of every draw.", TRAFFIC, "--seed")] = 0,
    model: Annotated[str | None, _option("Model of the only tier.", FLEET, "--model", "-m")] = None,
    hw: Annotated[str | None, _option("Its device.", FLEET, "--hw")] = None,
    replicas: Annotated[int, _option("Its replicas.", FLEET, "--replicas")] = 1,
    tp: Annotated[int | None, _option("Tensor parallel.", FLEET, "--tp")] = None,
    engine: Annotated[str | None, _option("Engine.", FLEET, "--engine")] = None,
    precision: Annotated[str | None, _option("Weight format.", FLEET, "--precision")] = None,
    slo_ttft_ms: Annotated[float | None, _option("Limit on TTFT.", LIMITS, "--slo-ttft-ms")] = None,
    slo_tpot_ms: Annotated[float | None, _option("Limit on TPOT.", LIMITS, "--slo-tpot-ms")] = None,
    lang: Annotated[Lang, _option("Language of the text.", OUTPUT, "--lang")] = Lang.EN,
    as_json: Annotated[bool, _option("JSON, SI units.", OUTPUT, "--json")] = False,
    csv: Annotated[
        Path | None, _option("Also write one line a request (- for the screen).", OUTPUT, "--csv")
    ] = None,
    parquet: Annotated[
        Path | None, _option("Also write the requests as Parquet.", OUTPUT, "--parquet")
    ] = None,
) -> None:
    """Replay traffic on a fleet: latencies, cost, energy, and what gives out first.

    advisor simulate --model 4B --hw h20 --preset chat --rps 5

    advisor simulate --scenario fleet.toml --trace conversation.jsonl --json
    """
    from advisor.simulator.question import Asked, from_options, from_scenario
    from advisor.simulator.run import RunOptions, replay

    asked = Asked(trace, trace_format, requests, rate_scale, seed)
    if scenario is not None:
        if model or hw or preset or rps:
            msg = "--scenario brings its own fleet and traffic: drop --model, --hw, --preset, --rps"
            raise UsageError(msg)
        question = from_scenario(scenario, asked)
    else:
        if not model or not hw:
            msg = "give --scenario, or --model and --hw"
            raise UsageError(msg)
        tier: dict[str, Any] = {"model": model, "hw": hw, "replicas": replicas}
        tier |= {"tp": tp, "engine": engine, "precision": precision}
        question = from_options(tier, preset, rps, _slo(slo_ttft_ms, slo_tpot_ms), asked)
    tell_compiling(lang)
    options = RunOptions(seed=seed, slos=question.slos, on_progress=progress())
    result = replay(question.fleet, question.requests, options)
    _write(result, csv, parquet)
    if csv is not None and str(csv) == "-":
        return
    if as_json:
        from advisor.report.simulate_json import simulation_json

        typer.echo(simulation_json(result, question.title, question.trace, lang))
    else:
        from advisor.report.simulate_text import simulation_text

        typer.echo(simulation_text(result, question.title, question.trace, lang))


def _slo(ttft_ms: float | None, tpot_ms: float | None) -> Slo | None:
    if ttft_ms is None and tpot_ms is None:
        return None
    from advisor.schema.workload import Slo

    for name, value in (("ttft", ttft_ms), ("tpot", tpot_ms)):
        if value is not None and not 0 < value < 1e9:
            msg = f"--slo-{name}-ms must be above 0, got {value:g}"
            raise UsageError(msg)
    return Slo(
        ttft_s=None if ttft_ms is None else ttft_ms / MS_PER_S,
        tpot_s=None if tpot_ms is None else tpot_ms / MS_PER_S,
    )


def _write(result: SimulationResult, csv: Path | None, parquet: Path | None) -> None:
    if csv is not None:
        from advisor.report.simulate_table import requests_csv

        if str(csv) == "-":
            typer.echo(requests_csv(result.table), nl=False)
        else:
            csv.write_text(requests_csv(result.table), encoding="utf-8")
    if parquet is not None:
        from advisor.report.simulate_table import write_parquet

        write_parquet(result.table, parquet)


def validate_log(
    folder: Annotated[Path, typer.Argument(help="Folder with requests.jsonl and meta.json.")],
    seed: Annotated[int, typer.Option("--seed", help="Seed of the replay.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, SI units.")] = False,
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the text.")] = Lang.EN,
) -> None:
    """Replay a real server's log from arrivals and lengths alone, and compare the times.

    advisor validate-log logs/run-1
    """
    from advisor.report.simulate_text import log_text
    from advisor.simulator.logs import validate_log as compare

    tell_compiling(lang)
    found = compare(folder, seed)
    if as_json:
        from advisor.report.simulate_json import log_json

        typer.echo(log_json(found))
    else:
        typer.echo(log_text(found, lang))
