"""The grid of several models on several devices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.catalogue.devices import get_device
from advisor.catalogue.local_models import get_any_model
from advisor.errors import AdvisorError, InfeasibleError, MissingDataError, UsageError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.result import EstimateResult
from advisor.estimator.run import estimate_point


@dataclass(frozen=True)
class Cell:
    """One model on one device: an answer, or the reason there is none."""

    model: str
    hw: str
    result: EstimateResult | None
    error: AdvisorError | None


@dataclass(frozen=True)
class Grid:
    """All cells, and the names of rows and columns as resolved."""

    models: tuple[tuple[str, str], ...]
    devices: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]

    def cell(self, model: str, hw: str) -> Cell:
        """Return the cell of a row and a column."""
        return next(c for c in self.cells if c.model == model and c.hw == hw)


def compare_grid(
    models: Sequence[str],
    devices: Sequence[str],
    base: EstimateRequest,
    today: dt.date | None = None,
) -> Grid:
    """Estimate every model on every device.

    Parameters
    ----------
    models, devices
        Names as for :class:`EstimateRequest`.
    base
        Request whose other fields every cell shares.

    Raises
    ------
    UnknownNameError, InvalidFileError
        For a name no catalogue holds: a whole row or column would be empty.
    """
    rows = tuple((name, get_any_model(name)[0].name) for name in models)
    columns = tuple((name, get_device(name).name) for name in devices)
    cells = []
    for model, _ in rows:
        for hw, _ in columns:
            request = replace(base, model=model, hw=hw)
            try:
                cells.append(Cell(model, hw, estimate_point(request, today), None))
            except (InfeasibleError, MissingDataError, UsageError) as error:
                cells.append(Cell(model, hw, None, error))
    return Grid(rows, columns, tuple(cells))
