"""Half-widths of ranges, from residuals on left-out groups."""

from __future__ import annotations

from functools import cache

from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import read_record
from advisor.errors import MissingDataError
from advisor.schema.efficiency import Width, WidthFile
from advisor.schema.fact import Evidence


@cache
def width_file() -> WidthFile:
    """Read ``widths.toml``."""
    return read_record(data_dir("hwprofiles/efficiency") / "widths.toml", WidthFile)


@cache
def width(
    metric: str,
    evidence: Evidence,
    device_class: str,
    kind: str = "",
    launch_known: bool = False,
    engine: str = "",
) -> Width:
    """Return the half-width of a metric at a label for a class of device and kind of model.

    ``launch_known``: the run's launch settings are known; the general row serves where none is
    made for that. ``engine``: its family, where rows are made for some.

    Raises
    ------
    MissingDataError
        If no row covers it.
    """
    rows = [
        row
        for row in width_file().width
        if (launch_known or not row.launch_known) and (not row.engines or engine in row.engines)
    ]
    for row in sorted(rows, key=lambda row: (not row.engines, not row.launch_known)):
        fits = (not row.device_classes or device_class in row.device_classes) and (
            not row.kinds or not kind or kind in row.kinds
        )
        if row.metric == metric and row.evidence == evidence and fits:
            return row
    msg = f"widths.toml has no row for {metric}, {evidence}, {device_class}, {kind}"
    raise MissingDataError(msg)
