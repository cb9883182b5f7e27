"""How fast the dashboard answers: ``python benchmarks/dashboard_speed.py [--viewers N]``.

Prints one JSON line: seconds from start to healthy, to the first paint of Answer (warm), from a
changed field to the new estimate and to the new recommendation, and, with N viewers at once who
each ask another question, the median and worst time to a new estimate. Needs Chromium.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from advisor.ui.serve import free_port

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
IDLE = "document.querySelector('[data-test-script-state]').dataset.testScriptState === 'notRunning'"


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.read() == b"ok")
    except OSError:
        return False


def opened(
    browser: Browser, address: str, query: str = "", charts: bool = True
) -> tuple[Page, float]:
    page = browser.new_page(locale="en-US")
    if not charts:
        page.route("**/*[Pp]lotly*", lambda route: route.abort())
    start = time.perf_counter()
    page.goto(address + query)
    page.locator("[data-testid=stMetricValue]").first.wait_for(timeout=120_000)
    return page, time.perf_counter() - start


def changed(page: Page, label: str, value: str, watched: str) -> float:
    """Type a value and wait until the watched text differs."""
    before = page.locator(watched).first.inner_text()
    field = page.get_by_label(label, exact=True).first
    field.fill(value)
    start = time.perf_counter()
    field.press("Enter")
    page.wait_for_function(
        "([css, old]) => document.querySelector(css)?.innerText !== old",
        arg=[watched, before],
        timeout=120_000,
    )
    return time.perf_counter() - start


def crowd(browser: Browser, address: str, viewers: int) -> list[float]:
    """Let every viewer change a field on Why at once; return when each sees the new number.

    Charts are left out: all browsers share this machine, a real crowd draws on its own.
    """
    queries = [f"/why?lang=en&isl={500 + i}" for i in range(viewers)]
    pages = [opened(browser, address, query, charts=False)[0] for query in queries]
    before = [p.locator("[data-testid=stMetricValue]").first.inner_text() for p in pages]
    start = time.perf_counter()
    for i, page in enumerate(pages):
        field = page.get_by_label("Prompt tokens", exact=True).first
        field.fill(str(5000 + 37 * i))
        field.press("Enter")
    waits = []
    for page, old in zip(pages, before, strict=True):
        page.wait_for_function(
            "old => document.querySelector('[data-testid=stMetricValue]')?.innerText !== old",
            arg=old,
            timeout=120_000,
        )
        waits.append(time.perf_counter() - start)
    return waits


def measure(browser: Browser, address: str, viewers: int) -> dict[str, Any]:
    opened(browser, address)[0].close()
    page, first_paint = opened(browser, address)
    page.wait_for_function(IDLE)
    recommended = changed(page, "Requests per day", "400000", "h4")
    page.close()
    page, _ = opened(browser, address, "/why?lang=en")
    page.wait_for_function(IDLE)
    estimated = changed(page, "Prompt tokens", "2000", "[data-testid=stMetricValue]")
    page.close()
    waits = crowd(browser, address, viewers)
    return {
        "first_paint_s": round(first_paint, 2),
        "recommendation_s": round(recommended, 2),
        "estimate_s": round(estimated, 2),
        "viewers": viewers,
        "crowd_median_s": round(statistics.median(waits), 2),
        "crowd_worst_s": round(max(waits), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=20)
    viewers = parser.parse_args().viewers
    port = free_port(first=8700)
    address = f"http://127.0.0.1:{port}"
    call = [sys.executable, "-m", "advisor.cli.main", "ui", "--port", str(port), "--no-browser"]
    start = time.perf_counter()
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while not healthy(address):
            time.sleep(0.05)
        cold = time.perf_counter() - start
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
            found = measure(browser, address, viewers)
            browser.close()
        server.terminate()
    print(json.dumps({"healthy_s": round(cold, 2), **found}))


if __name__ == "__main__":
    main()
