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
def width(metric: str, evidence: Evidence, device_class: str) -> Width:
    """Return the half-width of a metric at an evidence label for a class of device.

    Raises
    ------
    MissingDataError
        If no row covers it.
    """
    for row in width_file().width:
        classes = row.device_classes
        if (
            row.metric == metric
            and row.evidence == evidence
            and (not classes or device_class in classes)
        ):
            return row
    msg = f"widths.toml has no row for {metric}, {evidence}, {device_class}"
    raise MissingDataError(msg)
