"""Charts: axes with units, alternative texts that tell the truth, tables with the same numbers."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.charts import breakeven as breakeven_chart
from advisor.charts import replay
from advisor.charts.chart import EVIDENCE_MARKS, PLAN_LOOKS, Chart, Money, log_axis, money_axis
from advisor.charts.cost_stack import cost_stack
from advisor.charts.heat import Grid, heat_map
from advisor.charts.memory import memory_bar
from advisor.charts.money_flow import money_flow
from advisor.charts.operators import operators
from advisor.charts.pareto import frontier, pareto
from advisor.charts.quality_size import best_so_far, quality_size, sized_models
from advisor.charts.roofline import roofline
from advisor.charts.tornado import decision, tornado
from advisor.charts.validation import Pair, validation
from advisor.charts.workings import roof, workings
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.optimizer import result as r
from advisor.optimizer import result_curves as rc
from advisor.perf.intervals import Spread, estimate
from advisor.report.locale import LANGUAGES
from advisor.report.style import style
from advisor.schema.text import Text

EN, YUAN = style("en"), Money("CNY", 7.0)
WHY = Text.of("because_physical", device="x")


def money(value: float) -> r.Estimate:
    return estimate(value, Spread(0.1, 0.2), "estimated", WHY)


def plan(kind: r.PlanKind, usd: float, quality: float) -> r.Plan:
    check = r.QualityCheck("MMLU", estimate(quality, Spread(0.02, 0.04), "measured", WHY), 0.7)
    lines = (
        r.CostLine("rent", "2 x H20", money(usd * 0.6)),
        r.CostLine("idle", "2 x H20", money(usd * 0.3)),
        r.CostLine("api", "gpt", money(usd * 0.1)),
    )
    return r.Plan(
        kind=kind,
        options=(),
        deployments=(),
        lines=lines,
        usd_per_month=money(usd),
        usd_per_mtok=money(usd / 1e3),
        usd_per_1000_characters=None,
        classes=(),
        quality=check,
        power_w=None,
        kgco2e_per_month=None,
        chips={"h20-96": 2},
        gap=0.0,
    )


def flip(name: str, at: float, stated: float, side: str = "below") -> r.Flip:
    return r.Flip(name, at, "$/h", stated, side, "API", "api")  # type: ignore[arg-type]


def uncertainty() -> r.Uncertainty:
    bars = (
        r.TornadoBar("rent", Text("line_rent"), 900.0, 1200.0),
        r.TornadoBar("energy", Text("line_energy"), 990.0, 1010.0),
        r.TornadoBar("api", Text("line_api"), 700.0, 1500.0),
    )
    flips = (flip("rent", 3.0, 2.0, "above"), flip("volume", 0.9, 1.0), flip("zero", 1.0, 0.0))
    return r.Uncertainty(100, 1, {"mix": 0.8, "api": 0.2}, 0.95, 0.9, 12.0, bars, flips)


def recommendation() -> r.Recommendation:
    plans = [plan("mix", 1000, 0.8), plan("api", 1500, 0.86), plan("small", 1200, 0.7)]
    alternatives = [r.Alternative(p.kind, p, Text("line_rent")) for p in plans]
    alternatives.append(r.Alternative("device", None, Text("line_rent")))
    front = r.Front("quality", (r.FrontStep(0.75, 800.0, "4B"), r.FrontStep(0.9, 4000.0, "72B")))
    return r.Recommendation(
        title="t",
        title_zh="题",
        currency="CNY",
        per_usd=7.0,
        plan=plans[0],
        verdict=None,
        alternatives=tuple(alternatives),
        binding=(),
        fronts=(front,),
        uncertainty=uncertainty(),
        safer=None,
        infeasible=None,
        replays=(),
        excluded={},
        searched=r.Searched(1, 1, 1, 1, 1, 1, 1),
        assumptions=(),
        warnings=(),
        oldest_price=None,
        data={},
    )


def volumes() -> rc.Breakeven:
    points = []
    for volume in (1e4, 1e5, 1e6, 1e7):
        costs = {"api": volume * 1e-3, "mix": 1000.0 * math.ceil(volume / 3e6), "device": None}
        known = {k: v for k, v in costs.items() if v is not None}
        cheapest = min(known, key=lambda k: known[k])
        points.append(rc.BreakevenPoint(volume, costs, {"mix": 1}, cheapest))  # type: ignore[arg-type]
    return rc.Breakeven("t", tuple(points), ())


def point(lang: str) -> list[Chart]:
    found = estimate_point(EstimateRequest(model="4B", hw="h20"))
    s = style(lang)
    return [roofline(workings(found), s), memory_bar(found, s), operators(found, s)]


def all_charts(lang: str) -> list[Chart]:
    s = style(lang)
    rng = np.random.default_rng(1)
    waits = {"ttft": rng.exponential(0.5, 1000), "e2e": rng.exponential(4.0, 1000)}
    time_s = np.arange(100.0)
    line = replay.Timeline(time_s, time_s % 7, time_s % 5, np.full(100, 0.5))
    flows = [replay.Flow("chat", "4B", 90.0), replay.Flow("4B", "API", 20.0)]
    grid = Grid("x", "y", (1.0, 2.0), (3.0,), ((10.0, None),), (("mix", None),))
    pairs = [Pair("a", 10.0, 11.0, "calibrated", False), Pair("b", 20.0, 40.0, "estimated", True)]
    return [
        *point(lang),
        breakeven_chart.breakeven(volumes(), s, YUAN, 2e5),
        pareto(recommendation(), s, YUAN),
        cost_stack(recommendation(), s, YUAN),
        tornado(uncertainty(), 1000.0, s, YUAN),
        decision(uncertainty(), s, YUAN),
        heat_map(grid, s, YUAN),
        replay.latency_cdf(waits, {"ttft": 2.0}, 95.0, s),
        replay.queue_timeline(line, s),
        replay.sankey(flows, s),
        validation(pairs, "tok/s", s),
        quality_size(sized_models("MMLU"), "MMLU", s),
    ]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_chart_says_and_shows_something(lang):
    for chart in all_charts(lang):
        assert len(chart.alt) > 20
        assert chart.rows
        assert all(len(row) == len(chart.columns) for row in chart.rows)
        assert chart.figure.data
        for trace in chart.figure.data:
            if trace.type == "scatter":
                assert trace.x is not None
                assert len(trace.x) > 0


def test_axes_are_titled():
    for chart in all_charts("en"):
        if chart.figure.data[0].type == "sankey":
            continue
        assert chart.figure.layout.xaxis.title.text
        horizontal = chart.figure.data[0].type == "bar"
        assert horizontal or chart.figure.layout.yaxis.title.text


def test_chinese_charts_hold_no_english_sentence():
    for chart in all_charts("zh"):
        assert any("\u4e00" <= c <= "\u9fff" for c in chart.alt)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 1e6)), min_size=1, max_size=40))
def test_the_frontier_is_undominated_and_monotone(points):
    kept = frontier(points)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(kept))
    for quality, cost in points:
        assert any(q >= quality and c <= cost for q, c in kept)


def test_a_pareto_point_keeps_its_error_bars():
    chart = pareto(recommendation(), EN, YUAN)
    mix = next(t for t in chart.figure.data if t.name == "a mix")
    assert mix.x[0] == pytest.approx(7000)
    assert mix.error_x.array[0] == pytest.approx(7000 * (math.exp(0.1) - 1))
    assert "CNY" in chart.alt


def test_a_dominated_plan_fades():
    chart = pareto(recommendation(), EN, Money())
    faded = {t.name for t in chart.figure.data if t.opacity is not None and t.opacity < 1}
    assert faded == {"small models"}


def test_break_even_tells_where_the_cheapest_changes():
    chart = breakeven_chart.breakeven(volumes(), EN, Money(), 1e5)
    assert "APIs" in chart.alt
    assert "From 10.0M on: a mix" in chart.alt
    assert {t.name: t.line.shape for t in chart.figure.data} == {
        "a mix": "vh",
        "APIs": "linear",
    }
    assert "users' devices" not in {t.name for t in chart.figure.data}


def test_break_even_changes_at_the_flip_not_at_the_point_after_it():
    flip = r.Flip("volume", 4.2e6, "requests/month", 1e5, "above", "x", "mix")
    curve = rc.Breakeven("t", volumes().points, (flip,))
    assert "From 4.20M on: a mix" in breakeven_chart.breakeven(curve, EN, Money(), 1e5).alt


def test_idle_has_a_colour_of_its_own():
    chart = cost_stack(recommendation(), EN, Money())
    colours = {t.name: t.marker.color for t in chart.figure.data}
    assert list(colours.values()).count(colours["idle"]) == 1
    assert "60%" in chart.alt
    assert "30%" in chart.alt
    for row in chart.rows:
        assert sum(row[1:-1]) == pytest.approx(row[-1])


def test_the_widest_bar_leads_the_tornado():
    chart = tornado(uncertainty(), 1000.0, EN, Money())
    assert "API" in chart.alt
    assert chart.figure.data[0].y[0] == "API"


def test_the_nearest_flip_leads():
    chart = decision(uncertainty(), EN, YUAN)
    assert chart.alt.startswith("The nearest flip: requests a month below 0.900")
    assert len(chart.rows) == 3
    assert sum(len(t.x) for t in chart.figure.data) == 2, "a flip from zero has no relative move"


def test_a_flip_of_a_price_is_told_in_the_readers_currency():
    dear = r.Flip("price:h20-96", 3.0, "usd/device-hour", 2.0, "above", "4B @ H20", "api")
    u = r.Uncertainty(10, 0, {}, 1.0, 1.0, 0.0, (), (dear,))
    chart = decision(u, EN, YUAN)
    assert "21.0 CNY a device-hour (stated: 14.0)" in chart.alt
    assert chart.alt.endswith("the best plan is APIs: 4B @ H20.")
    assert chart.rows[0][1:4] == (14.0, 21.0, "CNY a device-hour")


def test_no_flip_is_said():
    u = uncertainty()
    none = r.Uncertainty(u.samples, 1, u.probability_cheapest, 1.0, 1.0, 0.0, (), ())
    assert "No single input" in decision(none, EN, YUAN).alt
    assert "No input" in tornado(none, 1.0, EN, Money()).alt


def test_the_distribution_ends_at_all_requests_and_names_a_broken_limit():
    waits = np.random.default_rng(0).exponential(1.0, 5000)
    chart = replay.latency_cdf({"ttft": waits}, {"ttft": 0.1}, 95.0, EN)
    trace = chart.figure.data[0]
    assert trace.y[-1] == 100.0
    assert trace.x[-1] == waits.max()
    assert (np.diff(trace.y) > 0).all()
    assert len(trace.x) <= replay.MOST_POINTS
    assert "broken" in chart.alt
    assert "inside" in replay.latency_cdf({"ttft": waits}, {"ttft": 99.0}, 95.0, EN).alt


def test_the_validation_text_names_the_worst_group():
    pairs = [Pair(f"g{i}", 10.0, 10.5, "measured", True) for i in range(9)]
    pairs.append(Pair("worst", 10.0, 30.0, "estimated", False))
    random.Random(1).shuffle(pairs)
    chart = validation(pairs, "ms", EN)
    assert "worst" in chart.alt
    assert "5%" in chart.alt
    assert "90%" in chart.alt


def test_size_beats_nothing_smaller_and_better():
    found = sized_models("MMLU")
    assert len(found) > 30
    line = best_so_far(found)
    assert all(a.active <= b.active and a.score < b.score for a, b in pairwise(line))
    assert all(m.low <= m.score <= m.high for m in found)


def test_no_step_lies_above_its_roof():
    for hw in ("h20", "a100"):
        w = workings(estimate_point(EstimateRequest(model="4B", hw=hw)))
        for p in w.points:
            bound = min(w.peak_flops_per_s, p.flops_per_byte * w.bytes_per_s)
            assert p.flops_per_s <= bound * 1.001


def test_a_roof_bends_at_its_ridge():
    x, y = roof(100.0, 10.0, 1.0, 100.0)
    assert (x, y) == ([1.0, 10.0, 100.0], [10.0, 100.0, 100.0])


def test_memory_parts_add_up_to_the_device():
    found = estimate_point(EstimateRequest(model="32B", hw="h20"))
    chart = memory_bar(found, EN)
    assert sum(row[1] for row in chart.rows) == pytest.approx(
        found.memory.physical_bytes.value / 2**30
    )


def test_kinds_of_plans_differ_in_colour_marker_and_dash():
    for part in zip(*PLAN_LOOKS.values(), strict=True):
        assert len(set(part)) == len(PLAN_LOOKS)


@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=8))
def test_a_logarithmic_axis_has_marks_in_its_range(values):
    axis = log_axis(values, EN)
    low, high = min(values), max(values)
    marks = axis["tickvals"]
    assert len(marks) == len(axis["ticktext"])
    assert all(m > 0 for m in marks)
    inside = [m for m in marks if low / 1.5 <= m <= high * 1.5]
    if high > 1.01 * low:
        assert inside, (low, high, marks)
    assert len(inside) <= 20


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=8))
def test_a_money_axis_spans_its_values_with_few_marks(values):
    marks = money_axis(values, EN)["tickvals"]
    assert min(marks) <= min(values) + 1e-9
    assert max(marks) >= max(values) * (1 - 1e-9)
    assert 1 <= len(marks) <= 9


def test_large_marks_are_told_in_each_language():
    assert "20M" in log_axis([2e7, 2e8], EN)["ticktext"]
    assert "2000\u00a0万" in log_axis([2e7, 2e8], style("zh"))["ticktext"]


def test_streams_of_money_add_up_to_the_month_and_idle_stands_apart():
    found = money_flow(plan("mix", 1000.0, 0.8), EN, YUAN)
    assert sum(row[2] for row in found.rows) == pytest.approx(7000.0)
    assert sum(row[3] for row in found.rows) == pytest.approx(100.0)
    assert ("2 x H20", "idle") in {row[:2] for row in found.rows}
    assert "30%" in found.alt


def test_an_input_without_effect_is_no_bar():
    bars = (
        r.TornadoBar("a", Text.of("input_demand"), 900.0, 1200.0),
        r.TornadoBar("b", Text.of("input_price", name="x"), 1000.0, 1000.0),
    )
    u = r.Uncertainty(10, 0, {}, 1.0, 1.0, 0.0, bars, ())
    assert len(tornado(u, 1000.0, EN, YUAN).rows) == 1


def test_a_load_no_plan_serves_is_said():
    points = tuple(
        rc.BreakevenPoint(v, {"mix": v / 10}, {"mix": 1}, "mix") for v in (1e3, 1e4, 1e5)
    )
    curve = rc.Breakeven("x", points, ())
    alt = breakeven_chart.breakeven(curve, EN, YUAN, 1e7).alt
    assert "No plan serves" in alt
    assert "stays so" not in alt
    assert "No plan serves" not in breakeven_chart.breakeven(curve, EN, YUAN, 1e5).alt


# Linear RGB of what a deuteranope and a protanope see (Machado et al. 2009, severity 1).
_SEEN = {
    "all colours": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
LEAST_DELTA_E = 10.0
LEAST_CONTRAST = 1.9


def _linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    """CIE Lab of linear sRGB, white D65."""
    m = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = m @ np.clip(linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", _SEEN)
def test_plans_are_told_apart_by_all_eyes(eyes):
    seen = {k: _lab(_SEEN[eyes] @ _linear(colour)) for k, (colour, _, _) in PLAN_LOOKS.items()}
    pairs = {(a, b): float(np.linalg.norm(seen[a] - seen[b])) for a in seen for b in seen if a < b}
    assert min(pairs.values()) >= LEAST_DELTA_E, min(pairs, key=lambda p: pairs[p])


@pytest.mark.parametrize("background", ["#ffffff", "#0f1216"])
def test_colours_stand_out_from_both_themes(background):
    def luminance(colour: str) -> float:
        return float(np.dot([0.2126, 0.7152, 0.0722], _linear(colour)))

    back = luminance(background)
    for colour, _, _ in PLAN_LOOKS.values():
        light, dark = sorted((luminance(colour), back), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= LEAST_CONTRAST, colour


def test_evidence_differs_in_marker_not_in_colour_alone():
    assert len(set(EVIDENCE_MARKS.values())) == len(EVIDENCE_MARKS)
