"""``advisor recommend``, ``advisor frontier``, ``advisor breakeven``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from advisor.cli.output import Lang, solver_kept_quiet, tell_compiling
from advisor.errors import InfeasibleError, UsageError

SCENARIO = typer.Argument(help="Scenario TOML (docs/optimizer.md; examples/).", metavar="FILE")
INFEASIBLE = InfeasibleError.exit_code


def _one(*forms: bool) -> None:
    """Check that at most one output form is asked for."""
    if sum(forms) > 1:
        msg = "give one of --json, --csv, --markdown and --html"
        raise UsageError(msg)


def _command() -> str:
    return " ".join(["advisor", *sys.argv[1:]])


def recommend(
    scenario: Annotated[Path, SCENARIO],
    replay: Annotated[
        bool, typer.Option("--replay/--no-replay", help="Replay winner and runner-up.")
    ] = True,
    lang: Annotated[Lang, typer.Option(help="Language of the text.")] = Lang.EN,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, SI units, US dollars.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, one plan a line.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A brief as Markdown.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="A brief as one HTML file.")] = False,
) -> None:
    """Recommend small models, large models or a mix, and on what, for a workload.

    Exit code 3: nothing keeps all limits; the answer says which clash and what would help.

    advisor recommend examples/customer-service.toml
    """
    _one(as_json, as_csv, markdown, as_html)
    from advisor.catalogue.scenarios import read_scenario
    from advisor.optimizer.recommend import recommend as answer

    folder = scenario.parent
    question = read_scenario(scenario)
    simulate = None
    if replay:
        from advisor.optimizer.play import simulate_with

        tell_compiling(lang)
        simulate = simulate_with(folder)
    with solver_kept_quiet():
        found = answer(question, folder, simulate=simulate)
    if as_json or as_csv:
        from advisor.report import recommend_json

        as_text = recommend_json.recommend_json if as_json else recommend_json.recommend_csv
        typer.echo(as_text(found, lang))
    elif markdown or as_html:
        from advisor.report import recommend_brief

        brief = recommend_brief.brief_markdown if markdown else recommend_brief.brief_html
        typer.echo(brief(found, lang, _command()), nl=False)
    else:
        from advisor.report import recommend_text

        typer.echo(recommend_text.recommend_text(found, lang))
    if found.plan is None:
        raise typer.Exit(INFEASIBLE)


def frontier(
    scenario: Annotated[Path, SCENARIO],
    measure: Annotated[str, typer.Option(help="quality or latency.")] = "quality",
    lang: Annotated[Lang, typer.Option(help="Language of the text.")] = Lang.EN,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV.")] = False,
) -> None:
    """Trace what quality or latency costs: plans that no other beats in both.

    advisor frontier examples/customer-service.toml --measure quality
    """
    _one(as_json, as_csv)
    import datetime as dt

    from advisor.catalogue.scenarios import read_scenario
    from advisor.optimizer.assemble import facts_of, question_of
    from advisor.optimizer.fronts import exact_front, measure_named
    from advisor.report import curves, recommend_json

    asked = read_scenario(scenario)
    question = question_of(facts_of(asked, scenario.parent, dt.date.today()))
    with solver_kept_quiet():
        front = exact_front(question, measure_named(question, measure))
    if not front.steps:
        msg = "nothing keeps all limits: advisor recommend says which clash"
        raise InfeasibleError(msg)
    if as_json:
        typer.echo(recommend_json.front_json(front, lang))
    elif as_csv:
        typer.echo(recommend_json.front_csv(front))
    else:
        title = asked.title_zh if lang == Lang.ZH else asked.title
        typer.echo(curves.front_text(front, title, lang))


def breakeven(
    scenario: Annotated[Path, SCENARIO],
    lang: Annotated[Lang, typer.Option(help="Language of the text.")] = Lang.EN,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, one volume a line.")] = False,
) -> None:
    """Trace the cost of each kind of plan over the volume, with whole devices.

    advisor breakeven examples/customer-service.toml
    """
    _one(as_json, as_csv)
    from advisor.catalogue.scenarios import read_scenario
    from advisor.optimizer.breakeven import breakeven as curve_of
    from advisor.report import curves, recommend_json

    asked = read_scenario(scenario)
    with solver_kept_quiet():
        curve = curve_of(asked, scenario.parent)
    if as_json:
        typer.echo(recommend_json.breakeven_json(curve, lang))
    elif as_csv:
        typer.echo(recommend_json.breakeven_csv(curve))
    else:
        title = asked.title_zh if lang == Lang.ZH else asked.title
        typer.echo(curves.breakeven_text(curve, title, lang))
