"""Launch settings of published benchmark series."""

from __future__ import annotations

from functools import cache

from advisor.catalogue.paths import data_dir
from advisor.catalogue.read import read_record
from advisor.schema.recipe import Recipe, RecipeFile


@cache
def recipe_file() -> RecipeFile:
    """Read the known recipes."""
    return read_record(data_dir("hwprofiles/efficiency") / "serving-recipes.toml", RecipeFile)


def recipe_of_run(
    run: str,
    engine: str,
    model: str,
    architecture: str,
    weight_format: str,
    lengths: tuple[int, int],
    tp: int,
    clients: int,
) -> Recipe | None:
    """Return the recipe that launched a run, None if no row describes it.

    Parameters
    ----------
    run, engine, model
        Series, engine and model, as the benchmark names them.
    architecture, weight_format
        Of the device, and of the weights.
    lengths
        Nominal prompt and output tokens.
    tp, clients
        Tensor parallelism, and concurrency over the whole deployment.
    """
    for row in recipe_file().recipe:
        if (
            engine == row.engine
            and run.startswith(row.runs)
            and (not row.models or model.startswith(row.models))
            and (not row.architectures or architecture in row.architectures)
            and (not row.formats or weight_format in row.formats)
            and row.lengths in (None, lengths)
            and (row.below_tp is None or tp < row.below_tp)
            and clients >= row.from_clients
        ):
            return row
    return None
