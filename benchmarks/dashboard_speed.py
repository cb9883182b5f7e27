"""How fast the dashboard answers: ``python benchmarks/dashboard_speed.py [--viewers N]``.

Prints one JSON line: seconds from start to healthy, to the first paint of Answer (warm), from a
changed field to the new estimate and to the new recommendation, and, with N new viewers at once
who each ask another question, the median and worst time to all of Why (sent, not drawn: a real
crowd draws on its own machines). Needs Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from advisor.ui.serve import free_port

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
IDLE = "document.querySelector('[data-test-script-state]').dataset.testScriptState === 'notRunning'"


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.read() == b"ok")
    except OSError:
        return False


def opened(page: Page, address: str) -> float:
    """Open an address; return when its first heading stands."""
    start = time.perf_counter()
    page.goto(address)
    page.locator("h4, [data-testid=stMetricValue]").first.wait_for(timeout=120_000)
    return time.perf_counter() - start


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


async def _one(address: str, number: int, ready: asyncio.Barrier) -> float:
    """Ask Why one question as a browser would, without drawing it; return the seconds it took."""
    url = address.replace("http://", "ws://") + "/_stcore/stream"
    async with connect(url, subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:
        await ready.wait()
        start = time.perf_counter()
        asked = BackMsg()
        asked.rerun_script.query_string = f"lang=en&isl={5000 + 37 * number}"
        asked.rerun_script.page_name = "why"
        await socket.send(asked.SerializeToString())
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(bytes(await socket.recv()))
            if answer.WhichOneof("type") == "script_finished":
                return time.perf_counter() - start


async def crowd(address: str, viewers: int) -> list[float]:
    """Let so many new viewers ask Why at once."""
    ready = asyncio.Barrier(viewers)
    return list(await asyncio.gather(*(_one(address, i, ready) for i in range(viewers))))


def measure(browser: Browser, address: str) -> dict[str, float]:
    """Return what one viewer waits for; the browser has been here before."""
    page = browser.new_page(locale="en-US")
    opened(page, address)
    first_paint = opened(page, address)
    page.wait_for_function(IDLE)
    recommended = changed(page, "Requests per day", "400000", "h4")
    opened(page, f"{address}/why?lang=en")
    page.wait_for_function(IDLE)
    estimated = changed(page, "Prompt tokens", "2000", "[data-testid=stMetricValue]")
    page.close()
    return {
        "first_paint_s": round(first_paint, 2),
        "recommendation_s": round(recommended, 2),
        "estimate_s": round(estimated, 2),
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
            found = measure(browser, address)
            browser.close()
        waits = asyncio.run(crowd(address, viewers))
        server.terminate()
    told = {"viewers": viewers, "median_s": statistics.median(waits), "worst_s": max(waits)}
    crowded = {f"crowd_{name}": round(value, 2) for name, value in told.items()}
    print(json.dumps({"healthy_s": round(cold, 2), **found, **crowded}))


if __name__ == "__main__":
    main()
