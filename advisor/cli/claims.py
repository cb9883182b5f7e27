"""``advisor claims``."""

from __future__ import annotations

from typing import Annotated

import typer

from advisor.cli.output import Lang
from advisor.errors import UsageError


def claims(
    number: Annotated[
        int | None, typer.Argument(help="One claim in detail; without it: all in one line each.")
    ] = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="The report's errors, corrected.")
    ] = False,
    lang: Annotated[Lang, typer.Option(help="Language of the text.")] = Lang.EN,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, SI units.")] = False,
) -> None:
    """Test the report's claims on small models with numbers computed now.

    advisor claims; advisor claims 7 --lang zh
    """
    import datetime as dt

    from advisor.claims.answers import answer_all, answer_claim
    from advisor.report import claims as render

    if errors and number is not None:
        msg = "give a claim's number or --errors, not both"
        raise UsageError(msg)
    now = dt.datetime.now(dt.UTC)
    if errors and not as_json:
        typer.echo(render.errors_text(lang.value))
        return
    answers = () if errors else answer_all(now) if number is None else (answer_claim(number, now),)
    if as_json:
        typer.echo(render.claims_json(answers, lang.value))
    elif number is None:
        typer.echo(render.claims_text(answers, lang.value))
    else:
        typer.echo(render.claim_text(answers[0], lang.value))
