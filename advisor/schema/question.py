"""What a decision-maker asks: what may be used, what must hold, how money is counted."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from advisor.schema.fact import Record, Slug
from advisor.schema.price import Currency

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
OpenShare = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e15)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Names = tuple[Name, ...]
AnyOf = Literal["any"] | Names
"""``"any"``: all the catalogue knows; a list: only these; an empty list: none."""


class Floor(Record, frozen=True):
    """Least expected score of the answers, as a share of 1.

    Parameters
    ----------
    metric
        Benchmark of the catalogue, or a task of the user's own evaluation file.
    at_least
        Mean over the requests of the class (or of all requests).
    """

    metric: Name
    at_least: OpenShare


class ClassFloor(Record, frozen=True):
    """A floor for one class of requests; its metric also compares models for that class."""

    traffic_class: Name = msgspec.field(name="class")
    metric: Name
    at_least: OpenShare


class AssumedScore(Record, frozen=True):
    """A score the user takes a model to have: admits a model without a published one."""

    model: Name
    metric: Name
    score: OpenShare
    because: Annotated[str, msgspec.Meta(min_length=3)]


class Quality(Record, frozen=True):
    """The ``[quality]`` section.

    Parameters
    ----------
    metric
        Benchmark that stands for classes without a floor of their own.
    overall
        Floor over all requests; needs the same metric in every class.
    floors, assumed
        ``[[quality.floor]]`` and ``[[quality.assume_score]]``.
    evaluation_csv
        The user's own evaluation, relative to the scenario file; goes before published scores.
    variant
        Which published variant counts; models that always think first count as ``instruct`` too.
    four_bit_loss_points
        What weights below 8 bits cost in points, where the score is of the full weights.
    spread_points
        Half-width of the 80 % range, in points, of an assumed score and of a published one
        whose benchmark's spread isn't known.
    """

    metric: Name | None = None
    overall: Floor | None = None
    floors: tuple[ClassFloor, ...] = msgspec.field(default=(), name="floor")
    assumed: tuple[AssumedScore, ...] = msgspec.field(default=(), name="assume_score")
    evaluation_csv: Name | None = None
    variant: Literal["instruct", "thinking", "base"] = "instruct"
    four_bit_loss_points: Annotated[float, msgspec.Meta(ge=0, le=20)] = 2.0
    spread_points: Annotated[float, msgspec.Meta(ge=0, le=20)] = 2.0


class ApiOffer(Record, frozen=True):
    """An API that may be used: its latency must be stated, since no price list gives it.

    ``latency_source`` says where the four latencies come from. Prices left out are the
    catalogue's. ``batch_share`` of the requests can wait for the seller's batch price;
    ``output_factor``: output tokens billed over those of the class, as you measured them; it
    then stands for vocabulary, answer length and hidden reasoning together.
    """

    model: Name
    ttft_s_p50: Positive
    ttft_s_p95: Positive
    tpot_s_p50: Positive
    tpot_s_p95: Positive
    latency_source: Annotated[str, msgspec.Meta(min_length=3)]
    provider: Name | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    usd_per_mtok_input: NotNegative | None = None
    usd_per_mtok_cached: NotNegative | None = None
    usd_per_mtok_output: NotNegative | None = None
    cache_hit_share: Share = 0.0
    batch_share: Share = 0.0
    output_factor: Positive | None = None

    def __post_init__(self) -> None:
        if self.ttft_s_p95 < self.ttft_s_p50 or self.tpot_s_p95 < self.tpot_s_p50:
            msg = f"api {self.model!r}: a 95th percentile can't be below the median"
            raise ValueError(msg)


class OutputNote(Record, frozen=True):
    """What is known of a model's output beyond the published: ``[[use.output]]``.

    Parameters
    ----------
    model
        Model, or name of a tuned one or of an API.
    because
        Where the figures come from.
    reasoning_tokens
        Mean tokens it reasons unseen before an answer, in its own vocabulary; 0: none.
    answer_factor
        Length of its visible answers over the workload's, as text.
    traffic_class
        Class of requests; left out: all.
    """

    model: Name
    because: Annotated[str, msgspec.Meta(min_length=3)]
    reasoning_tokens: NotNegative | None = None
    answer_factor: Positive | None = None
    traffic_class: Name | None = msgspec.field(default=None, name="class")

    def __post_init__(self) -> None:
        if self.reasoning_tokens is None and self.answer_factor is None:
            msg = f"output of {self.model!r}: give reasoning_tokens, answer_factor or both"
            raise ValueError(msg)


class OnDevice(Record, frozen=True):
    """Users' own phones or computers that may serve.

    Parameters
    ----------
    hw, model
        Device that stands for the users', and the model in the app.
    support_share
        Share of requests whose user has a device that can run it; the rest needs another
        option. Left out, for phones: the share of the market's phones whose memory holds it.
    market
        Whose phones count then.
    usd_per_month
        What the app costs a month beyond the server side. Left out: people at the site's
        wage, spread over the horizon, and the downloads stated.
    downloads_per_month
        Times the model is fetched over a network the maker pays; left out: app stores deliver.
    requests_per_user_day
        What one user asks in a day: decides the share of a charge it takes.
    active_w
        Power of the device while the model runs, if you measured it.
    """

    hw: Name
    model: Name
    support_share: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    market: Literal["world", "chn"] = "world"
    precision: Name | None = None
    engine: Name | None = None
    usd_per_month: NotNegative | None = None
    downloads_per_month: NotNegative = 0.0
    requests_per_user_day: Positive | None = None
    active_w: Positive | None = None


class Use(Record, frozen=True):
    """The ``[use]`` section: what may serve.

    Parameters
    ----------
    models, exclude_models
        Open-weight models considered.
    licences
        Licences accepted.
    regions
        Regions whose rental quotes count.
    rent, buy
        Devices that may be rented or bought.
    engines, precisions
        Engines and weight formats tried.
    max_devices_per_replica
        Largest replica tried.
    autoscale
        Rented replicas may come and go with the hours; they are then paid by the hour,
        and ``autoscale_overhead`` of it on top (left out: the catalogue's): replicas that
        start, and stop late.
    tokens_of
        Model whose tokens the workload's lengths count in: another vocabulary then needs more
        or fewer for the same text. Left out: every model's own.
    answers_of
        Model whose answers have the workload's lengths: others then answer longer or shorter,
        where the lengths of both were counted. Left out: all answer with as much text.
    outputs
        ``[[use.output]]``: reasoning and answer lengths of single models.
    apis, on_device
        ``[[use.api]]`` and ``[[use.on_device]]``.
    """

    models: AnyOf = "any"
    exclude_models: Names = ()
    licences: AnyOf = "any"
    regions: AnyOf = "any"
    rent: AnyOf = "any"
    buy: AnyOf = ()
    engines: Names = ("vllm",)
    precisions: AnyOf = "any"
    max_devices_per_replica: Count = 16
    autoscale: bool = True
    autoscale_overhead: Share | None = None
    tokens_of: Name | None = None
    answers_of: Name | None = None
    outputs: tuple[OutputNote, ...] = msgspec.field(default=(), name="output")
    apis: tuple[ApiOffer, ...] = msgspec.field(default=(), name="api")
    on_device: tuple[OnDevice, ...] = ()


class Owned(Record, frozen=True):
    """Devices at hand.

    ``usd_per_device_hour``: what an hour is booked at beside electricity; 0 (already paid for)
    unless given.
    """

    hw: Name
    count: Count
    usd_per_device_hour: NotNegative = 0.0


class Limits(Record, frozen=True):
    """The ``[limits]`` section; what is left out doesn't limit.

    ``per_month``: budget in the scenario's currency. ``chips``: devices of a kind in all.
    """

    per_month: Positive | None = None
    power_w: Positive | None = None
    kgco2e_per_month: Positive | None = None
    chips: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=dict)


class MoneyTerms(Record, frozen=True):
    """The ``[money]`` section.

    Parameters
    ----------
    site
        Where electricity is bought; decides its price and carbon.
    horizon_months
        Over which one-off costs are spread and growth counts.
    staff_usd_per_month
        People who run owned or bought devices; left out: the catalogue's least staff at the
        site's wage.
    rent_usd_per_hour
        The user's own quotes for a device-hour.
    spot_share
        Share of rented hours taken as spot, at ``spot_price_share`` of the price; each needs
        ``spot_spare`` more capacity against interruptions. Both left out: the catalogue's.
    """

    currency: Currency = "USD"
    site: Name = "world"
    pue: Annotated[float, msgspec.Meta(ge=1, le=3)] | None = None
    horizon_months: Annotated[int, msgspec.Meta(ge=1, le=120)] = 12
    staff_usd_per_month: NotNegative | None = None
    rent_usd_per_hour: dict[str, Positive] = msgspec.field(default_factory=dict)
    spot_share: Share = 0.0
    spot_price_share: OpenShare | None = None
    spot_spare: Share | None = None


class Routing(Record, frozen=True):
    """The ``[routing]`` section: pairs of a small and a large model.

    ``router_auc``: skill of the router; the default is what routers reach on MMLU.
    The verifier accepts ``verifier_accepts_right`` of the small model's right answers and
    catches ``verifier_catches_wrong`` of the wrong ones.
    """

    allowed: tuple[Literal["router", "cascade"], ...] = ("router", "cascade")
    router_auc: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] = 0.58
    verifier_accepts_right: OpenShare = 0.8
    verifier_catches_wrong: OpenShare = 0.6
    verifier_tokens: NotNegative = 0.0
    max_pairs: Annotated[int, msgspec.Meta(ge=0, le=200)] = 6


class Doubt(Record, frozen=True):
    """The ``[doubt]`` section: what the user is unsure of.

    ``demand_half80``: the volume lies within this share of what is stated, up or down, in 80 of
    100 cases. Ranges of speed, prices and scores come with those facts.
    """

    demand_half80: Annotated[float, msgspec.Meta(ge=0, le=3)] = 0.2
    samples: Annotated[int, msgspec.Meta(ge=10, le=100_000)] = 400
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


class Tuned(Record, frozen=True):
    """A vertical model: a base fine-tuned for the task, and the score that buys.

    ``source`` says where ``scores`` (metric → share of 1) come from.
    """

    name: Slug
    base: Name
    method: Literal["full", "lora", "qlora"]
    training_tokens: Positive
    hw: Name
    scores: dict[str, OpenShare]
    source: Annotated[str, msgspec.Meta(min_length=3)]
    usd_data: NotNegative = 0.0


class Retrieval(Record, frozen=True):
    """Embedding and reranking calls of a class: tokens of each per request, and their prices.

    ``seconds``: what a request waits for them, at the percentile of the class's limits. Only
    calls priced by the token are counted; for models of your own put in what a token costs you.
    """

    traffic_class: Name = msgspec.field(name="class")
    source: Annotated[str, msgspec.Meta(min_length=3)]
    embed_tokens: NotNegative = 0.0
    rerank_tokens: NotNegative = 0.0
    usd_per_mtok_embed: NotNegative = 0.0
    usd_per_mtok_rerank: NotNegative = 0.0
    seconds: NotNegative = 0.0


def check_finite(record: Record) -> None:
    """Refuse numbers that aren't finite anywhere in a record."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Record):
                check_finite(item)
            elif isinstance(item, float) and not math.isfinite(item):
                msg = f"{name} must be finite, got {item:g}"
                raise ValueError(msg)
