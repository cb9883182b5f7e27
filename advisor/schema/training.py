"""Facts about training runs and phones in use."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Fact, Record, Slug, Source, facts_of, require_sources


class Utilisation(Record, frozen=True):
    """Model FLOPs utilisation of training on devices of some architectures, 0 to 1.

    ``architectures`` empty: any other one.
    """

    job: Literal["pretrain", "finetune"]
    mfu: Fact
    architectures: tuple[Slug, ...] = ()


class Run(Record, frozen=True):
    """A published training run, to test predictions against.

    ``parameters`` are those one token uses. ``device_hours`` None: not published.
    """

    id: Slug
    name: str
    parameters: Fact
    tokens: Fact
    device: Slug = ""
    device_hours: Fact | None = None


class TrainingFile(Record, frozen=True):
    """``advisor/catalogue/training.toml``.

    ``usable_memory_share`` is the part of a device's memory that training may fill,
    ``tokens_per_parameter`` what a model from nothing is trained on.
    """

    schema: Literal[1]
    usable_memory_share: Fact
    tokens_per_parameter: Fact
    utilisation: tuple[Utilisation, ...]
    run: tuple[Run, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        _check_sources(self, self.source)


class PhoneTier(Record, frozen=True):
    """Share of a market's phones in use with at least so much memory, 0 to 1."""

    market: Literal["world", "chn"]
    at_least_bytes: Annotated[float, msgspec.Meta(gt=0)]
    share: Fact


class PhoneFile(Record, frozen=True):
    """``advisor/catalogue/phones.toml``: who can run a model, and what an app costs its maker.

    ``usable_share`` of a phone's memory is what one app may hold, ``active_w`` what it draws
    while a model runs. ``ai_share`` is the part of
    phones sold whose maker calls them able to run generative models.
    """

    schema: Literal[1]
    usable_share: Fact
    active_w: Fact
    charging_share: Fact
    battery_j: Fact
    app_person_months: Fact
    app_upkeep_share_per_year: Fact
    download_usd_per_gb: Fact
    ai_share_of_sales: Fact
    mobile_rtt_s: Fact
    far_rtt_s: Fact
    tier: tuple[PhoneTier, ...]
    source: tuple[Source, ...]

    def __post_init__(self) -> None:
        _check_sources(self, self.source)


def _check_sources(record: Record, sources: tuple[Source, ...]) -> None:
    require_sources({path: fact.source for path, fact in facts_of(record).items()}, sources)
