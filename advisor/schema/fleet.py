"""What serves: tiers of replicas, devices or APIs, the router before them, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from advisor.schema.fact import Record, Slug

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Money = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
OpenShare = Annotated[float, msgspec.Meta(gt=0, lt=1)]

Balance = Literal["round-robin", "least-outstanding", "shortest-finish", "prefix-aware"]


class Speculation(Record, frozen=True):
    """Speculative decoding: a draft proposes tokens, one step of the model checks them all.

    Each of ``draft_tokens`` proposals is accepted with probability ``acceptance`` while all
    before it were (Leviathan et al., 2023, arXiv:2211.17192); ``draft_step_share`` is the time
    of one draft step over one step of the model.
    """

    acceptance: OpenShare
    draft_tokens: Annotated[int, msgspec.Meta(ge=1, le=16)]
    draft_step_share: Share = 0.05


class Autoscale(Record, frozen=True):
    """Adding and removing replicas.

    Every ``interval_s`` the number wanted is running plus waiting requests over
    ``target_outstanding`` per replica, within ``minimum`` and ``maximum``. A new replica serves
    after ``cold_start_s``; one is removed after the wish has been lower for ``cooldown_s``, and
    finishes what it has begun. ``schedule`` gives the minimum by hour of the day instead.
    """

    minimum: Whole
    maximum: Count
    target_outstanding: Positive
    interval_s: Positive = 15.0
    cold_start_s: Seconds = 120.0
    cooldown_s: Seconds = 300.0
    schedule: tuple[Whole, ...] = ()

    def __post_init__(self) -> None:
        if self.minimum > self.maximum:
            msg = f"minimum {self.minimum} exceeds maximum {self.maximum}"
            raise ValueError(msg)
        if len(self.schedule) not in (0, 24):
            msg = f"schedule needs 24 numbers, one an hour, got {len(self.schedule)}"
            raise ValueError(msg)


class Failures(Record, frozen=True):
    """Replicas that fail at random: mean time between failures and to repair, both exponential.

    ``spot``: the provider takes the replica back with ``notice_s`` of warning, in which it
    accepts nothing new.
    """

    mean_between_s: Positive
    mean_repair_s: Positive
    spot: bool = False
    notice_s: Seconds = 0.0


class Maintenance(Record, frozen=True):
    """One replica taken out on purpose; it finishes what it has begun before it stops."""

    replica: Whole
    start_s: Seconds
    duration_s: Positive


class ReplicaTier(Record, frozen=True, tag_field="kind", tag="replicas"):
    """Replicas of one model on one kind of device.

    Parameters
    ----------
    replicas
        At the start.
    scheduling
        ``continuous``: requests join and leave at every step. ``static``: a batch of
        ``static_batch`` (or what has come after ``static_wait_s``) runs until its longest
        answer ends.
    max_sequences, step_tokens
        Scheduler limits; left out: the engine's.
    kv_tokens
        Cache of one replica; left out: from the memory plan.
    prefix_caching
        Keep prompt blocks for later requests, least recently used leaves first.
    prefill_replicas
        So many of the replicas only read prompts and hand their cache over
        (``transfer_bytes_per_s``); 0: every replica does both.
    max_output_tokens
        Cap clients send; engines that reserve a whole answer reserve this.
    max_outstanding
        Waiting and running requests per replica beyond which the tier refuses.
    usd_per_hour
        Rent of one device; left out: the catalogue's.
    """

    name: Slug
    model: str
    hw: str
    replicas: Count = 1
    engine: str | None = None
    precision: str | None = None
    kv_precision: str | None = None
    memory_share: OpenShare | None = None
    tp: Count | None = None
    pp: Count | None = None
    dp: Count | None = None
    ep: Count | None = None
    balance: Balance = "least-outstanding"
    scheduling: Literal["continuous", "static"] = "continuous"
    static_batch: Count = 8
    static_wait_s: Seconds = 0.1
    max_sequences: Count | None = None
    step_tokens: Count | None = None
    kv_tokens: Count | None = None
    max_output_tokens: Count | None = None
    prefix_caching: bool = True
    prefill_replicas: Whole = 0
    transfer_bytes_per_s: Positive | None = None
    speculation: Speculation | None = None
    max_outstanding: Count | None = None
    autoscale: Autoscale | None = None
    failures: Failures | None = None
    maintenance: tuple[Maintenance, ...] = ()
    usd_per_hour: Money | None = None
    score: Share | None = None

    def __post_init__(self) -> None:
        if self.prefill_replicas >= self.replicas and self.prefill_replicas:
            msg = f"prefill_replicas {self.prefill_replicas} leaves no replica that decodes"
            raise ValueError(msg)
        if self.prefill_replicas and self.autoscale:
            msg = "prefill_replicas and autoscale exclude each other"
            raise ValueError(msg)
        if self.prefill_replicas and self.scheduling == "static":
            msg = "prefill_replicas and static scheduling exclude each other"
            raise ValueError(msg)


class ApiTier(Record, frozen=True, tag_field="kind", tag="api"):
    """Somebody else's endpoint, priced by the token.

    TTFT and TPOT are log-normal with the stated medians and 95th percentiles. Beyond the rate
    limits a call is refused; it is tried again after ``backoff_s`` doubling each time, at most
    ``retries`` times. ``price_model`` names the catalogue's price where the three prices are
    left out; ``cache_hit_share`` of the input is billed at the cached price.
    """

    name: Slug
    model: str
    ttft_s_p50: Positive
    ttft_s_p95: Positive
    tpot_s_p50: Positive
    tpot_s_p95: Positive
    latency_source: str
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 5
    backoff_s: Positive = 1.0
    usd_per_mtok_input: Money | None = None
    usd_per_mtok_cached: Money | None = None
    usd_per_mtok_output: Money | None = None
    cache_hit_share: Share = 0.0
    score: Share | None = None

    def __post_init__(self) -> None:
        if self.ttft_s_p95 < self.ttft_s_p50 or self.tpot_s_p95 < self.tpot_s_p50:
            msg = "a 95th percentile can't be below the median"
            raise ValueError(msg)


class DeviceTier(Record, frozen=True, tag_field="kind", tag="device"):
    """Users' own phones or computers: each serves one request at a time.

    A session stays on its device. After ``burst_s`` of work without rest the device runs at
    ``sustained_share`` of its speed; rest of ``recovery_s`` cools it down. ``support_share`` of
    the users have a device that can run the model.
    """

    name: Slug
    model: str
    hw: str
    devices: Count
    engine: str | None = None
    precision: str | None = None
    support_share: Share = 1.0
    burst_s: Positive = 60.0
    recovery_s: Positive = 120.0
    sustained_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    max_input_tokens: Count | None = None
    score: Share | None = None


Tier = ReplicaTier | ApiTier | DeviceTier


class Route(Record, frozen=True):
    """Which tier a request goes to.

    Parameters
    ----------
    mode
        ``by-class``: as ``classes`` says, else ``first``. ``by-length``: prompts longer than
        ``long_input_tokens`` go to ``second``. ``one-shot``: a router of skill ``router_auc``
        sends ``share_to_second``. ``cascade``: ``first`` always answers, a verifier that
        accepts ``verifier_accepts_right`` of the right and ``1 - verifier_catches_wrong`` of
        the wrong answers passes the rest on to ``second``: those requests pay both.
        ``device-first``: ``first`` where the user's device can, else ``second``.
    spill, spill_outstanding
        Tier that takes over when ``first``'s least busy replica has so many requests.
    on_refusal
        Tier a request refused elsewhere (full, rate limit, failed too often) goes to.
    retries
        Times a request is sent again after its replica failed.
    """

    first: Slug
    mode: Literal["single", "by-class", "by-length", "one-shot", "cascade", "device-first"] = (
        "single"
    )
    second: Slug | None = None
    classes: dict[str, Slug] = msgspec.field(default_factory=dict)
    long_input_tokens: Count | None = None
    router_auc: OpenShare | None = None
    share_to_second: Share | None = None
    router_s: Seconds = 0.0
    verifier_accepts_right: Share | None = None
    verifier_catches_wrong: Share | None = None
    verifier_s: Seconds = 0.0
    spill: Slug | None = None
    spill_outstanding: Count | None = None
    on_refusal: Slug | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1

    def __post_init__(self) -> None:
        needs: dict[str, tuple[str, ...]] = {
            "by-class": ("classes",),
            "by-length": ("second", "long_input_tokens"),
            "one-shot": ("second", "share_to_second", "router_auc"),
            "cascade": ("second", "verifier_accepts_right", "verifier_catches_wrong"),
            "device-first": ("second",),
        }
        missing = [n for n in needs.get(self.mode, ()) if not _given(getattr(self, n))]
        if (self.spill is None) != (self.spill_outstanding is None):
            missing.append("spill" if self.spill is None else "spill_outstanding")
        if missing:
            msg = f"route mode {self.mode!r} needs {', '.join(missing)}"
            raise ValueError(msg)

    def tiers(self) -> Iterable[str]:
        """Names of the tiers the route speaks of."""
        named = (self.first, self.second, self.spill, self.on_refusal, *self.classes.values())
        return [name for name in named if name is not None]


class JointScores(Record, frozen=True):
    """Shares of questions both tiers get right, only the second, only the first."""

    both: Share
    only_second: Share
    only_first: Share

    def __post_init__(self) -> None:
        if self.both + self.only_second + self.only_first > 1.0 + 1e-9:
            msg = "the shares of a pair must add up to 1 at most"
            raise ValueError(msg)


class Fleet(Record, frozen=True):
    """The ``[fleet]`` section of a scenario.

    ``joint`` states how often the tiers of a cascade or one-shot route are right together;
    without it the answer's quality is unknown and cascades can't be replayed.
    """

    tier: tuple[Tier, ...]
    route: Route
    joint: JointScores | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        names = [tier.name for tier in self.tier]
        if not names:
            msg = "a fleet needs at least one [[fleet.tier]]"
            raise ValueError(msg)
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            msg = f"two tiers are called {twice[0]!r}"
            raise ValueError(msg)
        unknown = [n for n in self.route.tiers() if n not in names]
        if unknown:
            msg = f"route names tier {unknown[0]!r}; known: {', '.join(names)}"
            raise ValueError(msg)
        if self.route.mode in ("cascade", "one-shot") and self.joint is None:
            msg = f"route mode {self.route.mode!r} needs [fleet.joint]"
            raise ValueError(msg)


def _given(value: Any) -> bool:
    return value is not None and value != {}
