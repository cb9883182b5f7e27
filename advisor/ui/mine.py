"""A viewer's own measurements and prices: read as the command reads them, for this viewer only."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import streamlit as st
from msgspec.structs import replace

from advisor.catalogue.devices import get_device
from advisor.catalogue.prices import to_usd
from advisor.catalogue.read import decode
from advisor.errors import AdvisorError, InvalidFileError
from advisor.report.error_text import error_text
from advisor.report.locale import say
from advisor.schema.price import PriceFile
from advisor.schema.scenario import Scenario
from advisor.ui import state
from advisor.ui.play import ending
from advisor.ui.question import as_toml
from advisor.ui.view import View, plain

MAX_MB = 5
MAX_ROWS = 5_000
_FOLDER, _SAID, _WRONG = "_overlays", "_bench_said", "_mine_wrong"


class Folder:
    """A folder that goes when nobody holds it any more: a viewer's session, an upload refused."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="advisor-overlays-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def overlay_folder() -> str | None:
    """Return the folder of this viewer's overlays, None without any."""
    held: Folder | None = st.session_state.get(_FOLDER)
    return None if held is None else str(held.path)


def with_prices(scenario: Scenario, file: PriceFile) -> Scenario:
    """Return the scenario with a price file's rents and API prices instead of the catalogue's.

    Of several quotes of a device on demand the median counts; API rows mend the offers the
    scenario allows.

    Raises
    ------
    InvalidFileError
        If the file has too many rows, or none this scenario can use.
    """
    rows = len(file.rental) + len(file.api)
    if not 0 < rows <= MAX_ROWS:
        msg = f"a price file needs 1 to {MAX_ROWS:,} rental or api rows, got {rows}"
        raise InvalidFileError(msg)
    rents: dict[str, list[float]] = defaultdict(list)
    for quote in file.rental:
        if quote.terms == "on-demand":
            usd = to_usd(quote.price_per_device_hour, quote.currency)
            rents[get_device(quote.device).id].append(usd)
    quoted = {device: median(prices) for device, prices in rents.items()}
    money = replace(
        scenario.money, rent_usd_per_hour={**scenario.money.rent_usd_per_hour, **quoted}
    )
    by_model = {row.model: row for row in file.api}
    offers = tuple(
        replace(
            offer,
            usd_per_mtok_input=to_usd(row.input_per_mtok, row.currency),
            usd_per_mtok_output=to_usd(row.output_per_mtok, row.currency),
        )
        if (row := by_model.get(offer.model))
        else offer
        for offer in scenario.use.apis
    )
    return replace(scenario, money=money, use=replace(scenario.use, apis=offers))


def _guarded(upload: Callable[[str, bytes], None], key: str) -> None:
    """Take an upload; what is wrong with it is kept to be shown."""
    found = st.session_state[key]
    st.session_state[_WRONG] = None
    if found is None:
        return
    try:
        upload(found.name, found.getvalue())
    except AdvisorError as error:
        st.session_state[_WRONG] = error


def _bench(view: View, name: str, content: bytes) -> None:
    from advisor.calibration.overlay import Options, import_bench
    from advisor.calibration.overlay_write import write_overlay
    from advisor.report.import_bench import import_head, import_texts

    if content.count(b"\n") > 100 * MAX_ROWS:
        msg = f"{name} has too many lines"
        raise InvalidFileError(msg)
    folder = Folder()
    inside = folder.path
    source = inside / f"upload{ending(name)}"
    source.write_bytes(content)
    request = view.asked.request
    options = Options(
        request.model,
        request.hw,
        request.engine,
        request.precision,
        request.kv_precision,
        request.tp,
        request.pp,
        request.dp,
        request.ep,
    )
    found = import_bench(source, options, dt.date.today())
    source.unlink()
    said = import_head(found, view.lang)
    for one in found.overlays:
        write_overlay(one.overlay, inside / f"{one.overlay.id}.toml")
        said += [say(text, view.lang) for text in import_texts(one)]
    st.session_state[_FOLDER] = folder
    st.session_state[_SAID] = said


def _prices(view: View, name: str, content: bytes) -> None:
    file = decode(content.decode("utf-8", "replace"), PriceFile, name)
    scenario = with_prices(view.asked.scenario, file)
    state.take_own(as_toml(scenario))
    rent = scenario.money.rent_usd_per_hour.get(str(view.asked.by_key["hw"]))
    if rent is not None:
        state.change(usd_per_hour=rent)


def forget() -> None:
    """Drop this viewer's overlays; callback."""
    for key in (_FOLDER, _SAID, _WRONG):
        st.session_state.pop(key, None)


def uploads(view: View) -> None:
    """Draw both uploads, what was read, and what is wrong."""
    left, right = st.columns(2)
    left.file_uploader(
        view.say("mine_bench"),
        type=("json", "jsonl", "csv"),
        key="bench_file",
        help=view.say("mine_bench_help"),
        max_upload_size=MAX_MB,
        on_change=lambda: _guarded(lambda name, data: _bench(view, name, data), "bench_file"),
    )
    right.file_uploader(
        view.say("mine_prices"),
        type="toml",
        key="price_file",
        help=view.say("mine_prices_help"),
        max_upload_size=MAX_MB,
        on_change=lambda: _guarded(lambda name, data: _prices(view, name, data), "price_file"),
    )
    wrong = st.session_state.get(_WRONG)
    if wrong:
        st.error(plain(error_text(wrong, view.lang)))
    said = st.session_state.get(_SAID)
    if said:
        st.success("  \n".join(plain(line) for line in said))
        st.button(view.say("mine_forget"), on_click=forget)
