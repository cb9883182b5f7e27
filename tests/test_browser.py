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


LOOKS = [
    (lang, theme, width)
    for lang in ("zh", "en")
    for theme, width in (("light", 1280), ("dark", 1280), ("light", 400))
]


@pytest.fixture(scope="module")
def viewers(browser) -> Iterator[Any]:
    """One browser window for each look, kept from page to page: what it has loaded stays."""
    kept: dict[tuple[str, str, int], Any] = {}

    def viewer(lang: str, theme: str, width: int) -> Any:
        key = (lang, theme, width)
        if key not in kept:
            kept[key] = new_page(browser, lang, theme, width)
        page = kept[key]
        page.complaints.clear()
        page.set_viewport_size({"width": width, "height": 900})
        return page

    yield viewer
    for page in kept.values():
        page.close()


def accessible(page: Any) -> None:
    """Assert that axe finds nothing serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    serious = [
        f"{v['id']}: {n['html'][:160]}"
        for v in axe.run(page).response["violations"]
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"]
    ]
    assert not serious


def drawn(page: Any, name: str) -> None:
    """Keep a picture of the whole page; it must not scroll sideways, nor speak two languages."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow <= 0, "the page scrolls sideways"
    main = page.locator("[data-testid=stMain]")
    size = page.viewport_size
    height = min(main.evaluate("e => e.scrollHeight") + 80, 5000)
    page.set_viewport_size({"width": size["width"], "height": height})
    page.wait_for_function(DRAWN)
    page.screenshot(path=SHOTS / name)


@pytest.mark.parametrize(("lang", "theme", "width"), LOOKS)
@pytest.mark.parametrize("screen", SCREENS)
def test_pages_are_drawn_and_accessible_in_every_look(viewers, server, screen, lang, theme, width):
    page = viewers(lang, theme, width)
    page.goto(f"{server}/{screen}?lang={lang}")
    settled(page)
    accessible(page)
    drawn(page, f"{screen or 'answer'}-{lang}-{theme}-{width}.png")
    healthy(page, lang)


@pytest.mark.parametrize(("lang", "theme"), [("zh", "light"), ("en", "dark")])
@pytest.mark.parametrize("screen", ["", "compare", "replay", "sensitivity"])
def test_a_question_without_answer_is_drawn_and_accessible(viewers, server, screen, lang, theme):
    page = viewers(lang, theme, 1280)
    page.goto(f"{server}/{screen}?lang={lang}&base=infeasible")
    settled(page)
    accessible(page)
    drawn(page, f"{screen or 'answer'}-infeasible-{lang}-{theme}.png")
    assert page.get_by_text("empty", exact=True).count() == 0
    healthy(page, lang)


@pytest.mark.parametrize(("lang", "theme"), [("zh", "dark"), ("en", "light")])
def test_a_replay_is_drawn_and_accessible(viewers, server, lang, theme):
    page = viewers(lang, theme, 1280)
    page.goto(f"{server}/replay?lang={lang}&base=rag-documents")
    settled(page)
    page.get_by_role("button", name=words(lang)["ui_replay"], exact=True).click()
    page.get_by_text(words(lang)["title_tiers"]).wait_for(timeout=COMPILE_MS)
    settled(page)
    assert page.get_by_role("figure").count() >= 3
    for table in page.get_by_text(words(lang)["ui_as_table"], exact=True).all():
        table.click()
    accessible(page)
    drawn(page, f"replay-done-{lang}-{theme}.png")
    healthy(page, lang)


LOOK = """e => {
  const styles = [];
  for (let at = e, up = 0; at && up < 6; at = at.parentElement, up++) {
    const s = getComputedStyle(at);
    styles.push([s.boxShadow, s.outlineStyle, s.outlineWidth, s.borderColor].join());
  }
  return styles.join();
}"""
FRAMES = """() => new Promise(done => {
  let left = 6;
  const next = () => --left ? requestAnimationFrame(next) : done();
  requestAnimationFrame(next);
})"""
NAME = "e => e.getAttribute('aria-label') || e.innerText || e.value || ''"


def test_the_keyboard_reaches_everything_and_shows_where_it_is(viewers, server):
    page = viewers("en", "light", 1280)
    page.goto(f"{server}/?lang=en")
    settled(page)
    reached, unseen = [], []
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate_handle("document.activeElement")
        if here.evaluate("e => e === document.body"):
            break
        reached.append(here.evaluate(NAME))
        here.evaluate("e => e.blur()")
        page.evaluate(FRAMES)
        resting = here.evaluate(LOOK)
        here.evaluate("e => e.focus({focusVisible: true})")
        try:
            page.wait_for_function(
                f"([e, seen]) => ({LOOK})(e) !== seen", arg=[here, resting], timeout=3000
            )
        except sync_api.TimeoutError:
            unseen.append(reached[-1])
    assert "main content" in reached[0], "first stop: the way past the sidebar"
    for label in ("field_base", "field_per_day", "field_isl", "field_floor", "page_compare"):
        assert any(words("en")[label] in name for name in reached), label
    assert all(name.strip() for name in reached), "something without a name takes the focus"
    assert not unseen, "no sign of the focus"


def test_brief_and_link_work_without_the_server(browser, server, tmp_path):
    for lang in ("en", "zh"):
        page = new_page(browser, lang)
        page.goto(f"{server}/?lang={lang}&base=rag-documents")
        settled(page)
        with page.expect_download() as download:
            page.get_by_role("button", name=words(lang)["ui_brief_html"]).click()
        file = tmp_path / f"{lang}.html"
        download.value.save_as(file)
        other = browser.new_context(offline=True).new_page()
        wrong: list[str] = []
        other.on("console", lambda line, wrong=wrong: wrong.append(line.text))
        other.on(
            "request", lambda r, wrong=wrong: wrong.append(r.url) if "http" in r.url[:5] else 0
        )
        other.goto(file.as_uri())
        other.locator(".js-plotly-plot .main-svg").first.wait_for()
        assert other.locator("figure[aria-label]").count() >= 3
        assert not wrong
        other.emulate_media(media="print")
        cut = other.evaluate(
            "[...document.querySelectorAll('figure, table')].filter("
            "e => e.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert cut == 0, "something is cut off on paper"
        other.pdf(path=SHOTS.parent / f"brief-{lang}.pdf", format="A4")
        other.context.close()
        page.close()
