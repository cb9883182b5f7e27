"""Journeys through the dashboard in Chromium; skipped where none is installed.

Screenshots of every page in both languages and themes go to ``artifacts/screenshots``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from advisor.report.locale import words
from advisor.ui.serve import free_port

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "artifacts" / "screenshots"
SCREENS = ("", "compare", "why", "replay", "sensitivity", "claims", "data")
FLAGS = [
    f"--{flag}"
    for flag in (
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    )
]
COMPILE_MS = 300_000
WAIT_MS = 60_000
IDLE = (
    "document.querySelector('[data-test-script-state]')?.dataset.testScriptState === 'notRunning'"
)
SOLID = """!document.querySelector('[data-stale=true], [data-testid=stSkeleton]') &&
  [...document.querySelectorAll('[data-testid=stElementContainer]')].every(
    e => getComputedStyle(e).opacity === '1')"""
DRAWN = (
    "document.querySelectorAll('[data-testid=stPlotlyChart]').length === "
    "document.querySelectorAll('.js-plotly-plot .main-svg:first-child').length"
)
TRACE = "time,input_tokens,output_tokens\n" + "".join(
    f"{i * 0.5},{200 + i % 300},{50 + i % 40}\n" for i in range(400)
)
EN, ZH = words("en"), words("zh")


def _up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.read() == b"ok")
    except OSError:
        return False


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = free_port(first=8650)
    call = [sys.executable, "-m", "advisor.cli.main", "ui", "--port", str(port), "--no-browser"]
    with subprocess.Popen(
        call, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(150):
            if _up(address):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
        yield address
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield found
        found.close()


def new_page(browser: Any, lang: str = "zh", theme: str = "light", width: int = 1280) -> Any:
    locale = {"zh": "zh-CN", "en": "en-US"}[lang]
    page = browser.new_page(
        locale=locale,
        color_scheme=theme,
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    page.set_default_timeout(WAIT_MS)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda line: _listen(page, line))
    return page


def _listen(page: Any, line: Any) -> None:
    # A deep link makes Streamlit look for its health address below the page first.
    below = "/_stcore/" in line.location.get("url", "")
    if line.type == "error" and not below:
        page.complaints.append(line.text)


def settled(page: Any) -> None:
    """Wait until the script has run and every chart is drawn."""
    page.locator("h1").first.wait_for()
    page.wait_for_function(IDLE)
    page.wait_for_function(SOLID)
    page.wait_for_function(DRAWN)


def healthy(page: Any, lang: str) -> None:
    assert not page.complaints
    assert page.get_by_text(words(lang)["ui_bug"]).count() == 0


def widget(page: Any, label: str) -> Any:
    return page.get_by_label(label, exact=True).first


def visit(page: Any, lang: str, title: str) -> None:
    """Go to another page by its link in the navigation."""
    page.get_by_role("link", name=words(lang)[title], exact=True).click()
    page.locator("h1", has_text=words(lang)[title]).wait_for()
    settled(page)
    healthy(page, lang)


def chinese(text: str | None) -> bool:
    return bool(re.search("[\u4e00-\u9fff]", text or ""))


@pytest.fixture(scope="module")
def journey(browser, server) -> Iterator[Any]:
    """One page that walks through the tests below, as one viewer would."""
    page = new_page(browser)
    page.goto(f"{server}/?lang=zh&per_day=70000")
    settled(page)
    yield page
    page.close()


def test_a_changed_field_changes_sentence_and_link(journey):
    page = journey
    first = page.locator("h4").first.inner_text()
    assert chinese(first)
    field = page.get_by_label(ZH["field_per_day"], exact=True).first
    assert field.input_value() == "70000"
    field.fill("9000000")
    field.press("Enter")
    page.wait_for_function("location.search.includes('per_day=9000000')")
    page.wait_for_function("first => document.querySelector('h4')?.innerText !== first", arg=first)
    settled(page)
    healthy(page, "zh")


def test_the_link_survives_another_page_and_charts_speak(journey):
    page = journey
    visit(page, "zh", "page_compare")
    assert "per_day=9000000" in page.url, "the link forgets the scenario on another page"
    assert "lang=zh" in page.url
    figures = page.get_by_role("figure")
    assert figures.count() >= 4
    assert all(chinese(figures.nth(i).get_attribute("aria-label")) for i in range(figures.count()))
    visit(page, "zh", "page_why")


def test_a_trace_of_ones_own_is_replayed(journey, tmp_path):
    page = journey
    visit(page, "zh", "page_replay")
    trace = tmp_path / "trace.csv"
    trace.write_text(TRACE, encoding="utf-8")
    page.locator("[data-testid=stMain] input[type=file]").set_input_files(str(trace))
    page.get_by_text("trace.csv").first.wait_for()
    page.get_by_role("button", name=ZH["ui_replay"], exact=True).click()
    # The first replay on a machine compiles the loop.
    page.get_by_text(ZH["title_cdf"]).wait_for(timeout=COMPILE_MS)
    settled(page)
    assert page.get_by_text("400 个请求").count() >= 1
    healthy(page, "zh")


def test_the_brief_opens(journey, browser, tmp_path):
    page = journey
    visit_answer = page.get_by_role("link", name=ZH["page_answer"], exact=True)
    visit_answer.click()
    button = page.get_by_role("button", name=ZH["ui_brief_html"])
    button.wait_for()
    settled(page)
    with page.expect_download() as download:
        button.click()
    brief = tmp_path / "brief.html"
    download.value.save_as(brief)
    other = new_page(browser)
    other.goto(brief.as_uri())
    assert chinese(other.locator("body").inner_text())
    assert not other.complaints
    other.close()


def test_the_language_switches_everything(journey):
    page = journey
    page.get_by_text("English", exact=True).click()
    page.get_by_role("link", name=EN["page_compare"], exact=True).wait_for()
    settled(page)
    assert "lang=en" in page.url
    assert page.evaluate("document.documentElement.lang") == "en"
    healthy(page, "en")


def test_a_question_without_answer_is_mended_by_a_click(browser, server):
    page = new_page(browser, "en")
    page.goto(f"{server}/?lang=en&base=customer-service&budget=20")
    settled(page)
    page.get_by_text(EN["error_infeasible"]).first.wait_for()
    page.get_by_role("button", name=re.compile("→")).first.click()
    page.get_by_text(EN["tile_month"]).first.wait_for()
    settled(page)
    assert page.get_by_text(EN["error_infeasible"]).count() == 0
    healthy(page, "en")
    page.close()


def test_a_link_copied_opens_the_same_answer(browser, server):
    page = new_page(browser, "en")
    page.goto(f"{server}/?lang=en&per_day=50000&isl=700")
    settled(page)
    sentence = page.locator("h4").first.inner_text()
    page.get_by_text(EN["ui_carry"], exact=True).first.click()
    link = page.locator("[data-testid=stSidebar] [data-testid=stCode]").first.inner_text().strip()
    assert link.startswith(server)
    other = new_page(browser, "zh")
    other.goto(link)
    settled(other)
    assert other.locator("h4").first.inner_text() == sentence
    page.close()
    other.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_no_serious_accessibility_violation(browser, server, screen):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for theme in ("light", "dark"):
        page = new_page(browser, "en", theme)
        page.goto(f"{server}/{screen}?lang=en")
        settled(page)
        found = axe.run(page).response["violations"]
        serious = [
            f"{v['id']}: {n['html'][:160]}"
            for v in found
            if v["impact"] in ("serious", "critical")
            for n in v["nodes"]
        ]
        assert not serious
        page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("screen", SCREENS)
def test_pages_are_drawn_in_both_languages_and_themes(browser, server, screen, lang, theme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    for width in (1280, 400) if theme == "light" else (1280,):
        page = new_page(browser, lang, theme, width)
        page.goto(f"{server}/{screen}?lang={lang}")
        settled(page)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, "the page scrolls sideways"
        main = page.locator("[data-testid=stMain]")
        height = main.evaluate("e => e.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(height + 80, 5000)})
        page.wait_for_function(DRAWN)
        name = f"{screen or 'answer'}-{lang}-{theme}-{width}.png"
        page.screenshot(path=SHOTS / name)
        healthy(page, lang)
        page.close()
