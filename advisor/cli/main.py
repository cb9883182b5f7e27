"""Entry point of the ``advisor`` command."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Annotated

import typer

import advisor
from advisor.cli import (
    bench,
    calibrate,
    catalogue,
    claims,
    compare,
    estimate,
    import_bench,
    recommend,
    simulate,
    ui,
    validate,
)
from advisor.errors import AdvisorError

app = typer.Typer(
    name="advisor",
    help="Small models, large models, or a mix, and on what: with error bars.\n\n"
    "advisor estimate --model 4B --hw h20\n\n"
    "advisor compare --models 0.5B,4B,32B --hw iphone-15-pro,a100,h20",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("estimate")(estimate.estimate)
app.command("compare")(compare.compare)
app.command("recommend")(recommend.recommend)
app.command("frontier")(recommend.frontier)
app.command("breakeven")(recommend.breakeven)
app.command("simulate")(simulate.simulate)
app.command("claims")(claims.claims)
app.command("validate")(validate.validate)
app.command("validate-log")(simulate.validate_log)
app.command("bench")(bench.bench)
app.command("import-bench")(import_bench.import_bench)
app.command("ui")(ui.ui)
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(calibrate.app, name="calibrate")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"advisor {advisor.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Answer questions about serving language models."""


def _printable(text: str) -> str:
    """Escape what isn't text (file names may hold any byte)."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _asked_language() -> str:
    """Return what ``--lang`` asked for; a command that failed early can't be asked."""
    from advisor.report.locale import LANGUAGES

    given = " ".join(sys.argv).replace("--lang=", "--lang ").split()
    after = [b for a, b in itertools.pairwise(given) if a == "--lang"]
    return after[-1] if after and after[-1] in LANGUAGES else "en"


def _report(error: AdvisorError, as_json: bool) -> None:
    from advisor.report.error_text import error_text
    from advisor.report.locale import say
    from advisor.schema.text import Text

    lang = _asked_language()
    message = error_text(error, lang)
    if as_json:
        body = {
            "code": error.code,
            "message": message,
            "limit": error.limit,
            "suggestions": list(error.suggestions),
        }
        typer.echo(_printable(json.dumps({"error": body}, ensure_ascii=False, indent=2)))
        return
    told = say(Text.of("error_told", message=" ".join(message.split())), lang)
    typer.echo(_printable(told), err=True)
    options = [s for s in error.suggestions if s.startswith("--")]
    if options:
        joint = say("error_or", lang)
        typer.echo(say(Text.of("error_try", options=joint.join(options)), lang), err=True)


def main() -> None:
    """Run the command; exit codes are those of ``advisor/errors.py``, 1 is a bug."""
    try:
        app()
    except AdvisorError as error:
        _report(error, "--json" in sys.argv)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) closed early: nothing is wrong.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
