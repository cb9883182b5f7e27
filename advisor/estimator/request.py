"""The question, and its checks."""

from __future__ import annotations

from dataclasses import dataclass, fields

from advisor.errors import UsageError

MAX_TOKENS = 100_000_000
MAX_DEVICES = 1_000_000
SMALLEST, LARGEST = 1e-9, 1e12
"""Range of rates, times and prices that can mean anything."""


@dataclass(frozen=True)
class EstimateRequest:
    """What to estimate; None means: choose, and say what was chosen.

    Parameters
    ----------
    model, hw
        Catalogue id, alias, size or file.
    count, tp, pp, dp, ep
        Devices in all, and the layout of one replica.
    precision, kv_precision, engine
        Names of the catalogue.
    isl_tokens, osl_tokens
        Prompt and output length.
    concurrency
        Requests in flight over the whole deployment (excludes ``rps``).
    rps
        Poisson arrivals per second over the whole deployment.
    slo_ttft_s, slo_tpot_s
        Limits for the best operating point.
    usd_per_hour
        Rent of one device, instead of the catalogue's.
    memory_share
        Engine memory share, instead of its default.
    site
        Where electricity is bought.
    overlay
        File or folder of measured overlays (``advisor import-bench``).
    max_price_age_days
        Refuse to answer from a price (rent, else purchase) older than this.

    Raises
    ------
    UsageError
        If a number is out of range or two options exclude each other.
    """

    model: str
    hw: str
    count: int | None = None
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None
    precision: str | None = None
    kv_precision: str | None = None
    engine: str | None = None
    isl_tokens: int = 1000
    osl_tokens: int = 300
    concurrency: int | None = None
    rps: float | None = None
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None
    usd_per_hour: float | None = None
    memory_share: float | None = None
    site: str | None = None
    max_price_age_days: int | None = None
    overlay: str | None = None

    def __post_init__(self) -> None:
        for name, limit in (
            ("count", MAX_DEVICES),
            ("tp", MAX_DEVICES),
            ("pp", MAX_DEVICES),
            ("dp", MAX_DEVICES),
            ("ep", MAX_DEVICES),
            ("isl_tokens", MAX_TOKENS),
            ("osl_tokens", MAX_TOKENS),
            ("concurrency", MAX_TOKENS),
        ):
            self._check_whole(name, limit)
        for name in ("rps", "slo_ttft_s", "slo_tpot_s", "usd_per_hour", "memory_share"):
            self._check_positive(name)
        if self.memory_share is not None and self.memory_share > 1:
            msg = f"memory share must be in (0, 1], got {self.memory_share:g}"
            raise UsageError(msg)
        if self.concurrency is not None and self.rps is not None:
            msg = "give --concurrency or --rps, not both"
            raise UsageError(msg)
        if self.max_price_age_days is not None and self.max_price_age_days < 0:
            msg = f"max price age must be 0 days or more, got {self.max_price_age_days}"
            raise UsageError(msg)

    def _check_whole(self, name: str, limit: int) -> None:
        value = getattr(self, name)
        if value is not None and not 1 <= value <= limit:
            msg = f"{_option(name)} must be between 1 and {limit:,}, got {value}"
            raise UsageError(msg)

    def _check_positive(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and not SMALLEST <= value <= LARGEST:
            msg = f"{_option(name)} must be between {SMALLEST:g} and {LARGEST:g}, got {value}"
            raise UsageError(msg)

    def as_dict(self) -> dict[str, object]:
        """Return the fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def _option(name: str) -> str:
    return "--" + name.removesuffix("_tokens").removesuffix("_s").replace("_", "-")
