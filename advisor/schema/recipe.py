"""How published benchmark series launched their engines: what a row of results doesn't say."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Record, Slug, Source, require_sources

Count = Annotated[int, msgspec.Meta(ge=0)]


class Recipe(Record, frozen=True):
    """Launch settings of some runs of a series; the first matching row counts.

    Parameters
    ----------
    runs, engine
        Prefixes of the series' names, and the engine.
    models, architectures, formats
        Prefixes of the models' names, device architectures and weight formats it was used
        for; empty: all.
    lengths, below_tp, from_clients
        Prompt and output tokens, tensor parallelism and concurrency it is confined to.
    step_tokens
        Token budget of a step; None: the engine's default.
    room_tokens
        The budget is the prompt's length, plus the clients, plus this, but at least
        ``step_tokens``.
    wait_steps, wait_share, poll_steps
        As in :class:`advisor.perf.replay.Limits`.
    prompts_ahead
        Further prompts that each prompt shares its step with: series whose requests all have
        one length send them in clusters.
    experts_as
        Constants of the expert kernels that were chosen, by weight format.
    """

    runs: tuple[str, ...]
    engine: Slug
    source: str
    because: str
    models: tuple[str, ...] = ()
    architectures: tuple[Slug, ...] = ()
    formats: tuple[str, ...] = ()
    lengths: tuple[int, int] | None = None
    below_tp: Count | None = None
    from_clients: Count = 0
    step_tokens: Count | None = None
    room_tokens: Count | None = None
    wait_steps: Count = 0
    wait_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    poll_steps: Count = 0
    prompts_ahead: Count = 0
    experts_as: str | None = None

    def budget_tokens(self, isl: int, clients: int) -> int | None:
        """Return the token budget of a step, None for the engine's default."""
        if self.room_tokens is None:
            return self.step_tokens
        return max(isl + clients + self.room_tokens, self.step_tokens or 0)


class RecipeFile(Record, frozen=True):
    """``hwprofiles/efficiency/serving-recipes.toml``."""

    schema: Literal[1]
    source: tuple[Source, ...]
    recipe: tuple[Recipe, ...]

    def __post_init__(self) -> None:
        require_sources({f"recipe.{i}": r.source for i, r in enumerate(self.recipe)}, self.source)
