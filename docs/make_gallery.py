"""Write docs/gallery.md and its figures from real runs: ``python docs/make_gallery.py``.

Needs Chromium (``apt-get install chromium``) and the ``dev`` extra, which draw the figures.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from advisor.calibration.points import validation_points
from advisor.charts import breakeven, replay
from advisor.charts.chart import Chart, Money
from advisor.charts.cost_stack import cost_stack
from advisor.charts.heat import heat_map
from advisor.charts.memory import memory_bar
from advisor.charts.money_flow import money_flow
from advisor.charts.operators import operators
from advisor.charts.pareto import pareto
from advisor.charts.quality_size import quality_size, sized_models
from advisor.charts.roofline import roofline
from advisor.charts.tornado import decision, tornado
from advisor.charts.validation import Pair, validation
from advisor.charts.workings import workings
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.report.locale import say
from advisor.report.style import style
from advisor.ui import grid, play, question, work
from advisor.ui.asked import asked_of, defaults
from advisor.ui.fields import BY_KEY
from advisor.ui.jobs import Job

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "gallery"
EXAMPLE = "customer-service"
WIDTH = 760
EN = style("en")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

HEAD = f"""\
# Gallery

Every chart of the dashboard, from real runs; written by `docs/make_gallery.py`, don't edit. Unless
said otherwise the scenario is `examples/{EXAMPLE}.toml`. Below each figure stands the alternative
text that screen readers hear: the chart's finding, made from the same numbers.
"""


def of_one_estimate() -> Iterator[tuple[str, str, Chart]]:
    """Yield the charts of Why: a 4B model on an H20."""
    found = estimate_point(EstimateRequest(model="4B", hw="h20"))
    yield "roofline", "title_roofline", roofline(workings(found), EN)
    yield "memory", "title_memory", memory_bar(found, EN)
    yield "operators", "title_operators", operators(found, EN)


def of_the_answer() -> Iterator[tuple[str, str, Chart]]:
    """Yield the charts of Compare and Sensitivity."""
    scenario = question.examples()[EXAMPLE]
    r = work.recommended(scenario)
    if r.plan is None or r.uncertainty is None:
        msg = f"{EXAMPLE} has no plan"
        raise SystemExit(msg)
    money = Money(r.currency, r.per_usd)
    here = work.planned_volume(scenario)
    yield "pareto", "title_pareto", pareto(r, EN, money)
    yield "cost_stack", "title_cost_stack", cost_stack(r, EN, money)
    yield "money_flow", "title_money_flow", money_flow(r.plan, EN, money)
    curve = work.broken_even(scenario)
    yield "breakeven", "title_breakeven", breakeven.breakeven(curve, EN, money, here)
    yield "quality_size", "title_quality_size", quality_size(sized_models("MMLU"), "MMLU", EN)
    base_usd = r.plan.usd_per_month.value
    yield "tornado", "title_tornado", tornado(r.uncertainty, base_usd, EN, money)
    yield "decision", "title_decision", decision(r.uncertainty, EN, money)
    asked = asked_of(defaults(EXAMPLE, ""), "")
    names = {key: say(BY_KEY[key].label, "en") for key in ("per_day", "ttft_s")}
    yield (
        "heat",
        "title_heat",
        heat_map(grid.work_out(asked, "per_day", "ttft_s", names), EN, money),
    )


def of_a_replay() -> Iterator[tuple[str, str, Chart]]:
    """Yield the charts of Replay: the plan's busiest hour."""
    scenario = question.examples()[EXAMPLE]
    part = play.planned(scenario)[0]
    played = play.play(Job(lambda job: job.result), scenario, part, 1, None)
    first = play.classes_of(played)[0]
    limits = play.limits_of(played.slos.get(first))
    waits = play.latencies(played, first)
    yield "cdf", "title_cdf", replay.latency_cdf(waits, limits, 95.0, EN)
    yield "queue", "title_queue", replay.queue_timeline(play.timeline(played.result), EN)
    yield "sankey", "title_sankey", replay.sankey(play.flows(played), EN)


def of_the_data() -> Iterator[tuple[str, str, Chart]]:
    """Yield the chart of Data: predicted over measured."""
    seen = ("exact", "measured", "calibrated")
    pairs = [
        Pair(p.group, p.measured, p.predicted, p.evidence, p.evidence not in seen)
        for p in validation_points().point
        if p.metric == "decode_tok_s"
    ]
    yield "validation", "title_validation", validation(pairs, say("metric_decode_tok_s", "en"), EN)


def draw(charts: dict[str, Chart]) -> None:
    """Write every figure as a small PNG."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as p, tempfile.TemporaryDirectory() as folder:
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 700})
        for name, chart in charts.items():
            chart.figure.update_layout(template="plotly_white", width=WIDTH)
            file = Path(folder) / f"{name}.html"
            chart.figure.write_html(file, config={"displayModeBar": False})
            page.goto(file.as_uri())
            page.locator(".js-plotly-plot .main-svg").first.wait_for()
            page.locator(".js-plotly-plot").screenshot(path=FOLDER / f"{name}.png")
        browser.close()


def main() -> None:
    """Run, draw and write the page."""
    found = [
        *of_the_answer(),
        *of_one_estimate(),
        *of_a_replay(),
        *of_the_data(),
    ]
    draw({name: chart for name, _, chart in found})
    parts = [
        f"## {say(title, 'en')}\n\n![{chart.alt}](gallery/{name}.png)\n\n{chart.alt}\n"
        for name, title, chart in found
    ]
    (HERE / "gallery.md").write_text("\n".join([HEAD, *parts]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
