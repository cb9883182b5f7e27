"""What an imported benchmark became, in words."""

from __future__ import annotations

from advisor.calibration.overlay import Import, Imported
from advisor.report.locale import say
from advisor.schema.text import Text

SHOWN_BAD = 5


def import_head(found: Import, lang: str) -> list[str]:
    """Return what was read, and the first rows that weren't used."""
    head = Text.of("import_read", points=found.points, tool=found.tool, bad=len(found.bad))
    lines = [say(head, lang)]
    for bad in found.bad[:SHOWN_BAD]:
        lines.append(say(Text.of("import_bad", line=bad.line, reason=bad.reason), lang))
    return lines


def import_texts(one: Imported) -> list[Text]:
    """Return what one overlay is for, what was assumed, and its error before and after."""
    overlay, fit = one.overlay, one.outcome.fit
    lines = [
        Text.of(
            "import_target",
            model=one.setup.model.name,
            format=overlay.target.precision,
            device=one.setup.device.name,
            engine=one.setup.engine.name,
            layout=str(one.layout),
        ),
        *one.assumed,
        Text.of(
            "import_factors",
            kernel=round(fit.cost.kernel_factor / overlay.base.kernel_factor, 3),
            prefill=fit.prefill_factor,
            decode=fit.decode_factor,
        ),
    ]
    if fit.at_bound:
        lines.append(Text.of("import_bound"))
    if one.outcome.held_out:
        held = Text.of("import_held_out", held=one.outcome.held_out, rest=one.outcome.fitted_on)
        lines.append(held)
    else:
        lines.append(Text.of("import_no_held_out", configurations=overlay.configurations))
    for error in overlay.error:
        if error.before is not None and error.after is not None:
            text = Text.of(
                "import_error",
                metric=error.metric,
                before=f"{error.before:.1%}",
                after=f"{error.after:.1%}",
                values=error.held_out,
            )
            lines.append(text)
    return lines
