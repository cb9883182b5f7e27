"""API prices against figures the sellers published, and the way to say "unknown"."""

from __future__ import annotations

import datetime as dt
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from advisor.catalogue.api_prices import (
    ApiSellers,
    api_price,
    first_party_providers,
    list_api_prices,
)
from advisor.errors import UnknownNameError
from advisor.schema.price import ApiPrice, PriceFile

PRICING = Path(__file__).parent.parent / "pricing"
NOW = dt.datetime(2026, 11, 23, 3, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def sellers() -> ApiSellers:
    return msgspec.toml.decode((PRICING / "api-sellers.toml").read_bytes(), type=ApiSellers)


@pytest.fixture(scope="module")
def overrides() -> tuple[ApiPrice, ...]:
    files = sorted(PRICING.glob("api-overrides-*.toml"))
    return tuple(
        row for path in files for row in msgspec.toml.decode(path.read_bytes(), type=PriceFile).api
    )


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        msg = "a price was looked up on the network"
        raise AssertionError(msg)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("model", "provider", "prices"),
    [
        ("gpt-4o-mini", "openai", (0.15, 0.60)),  # openai.com/api/pricing, 2024-07-18
        ("gpt-4o", "openai", (2.50, 10.00)),  # openai.com/api/pricing, 2024-10
        ("claude-3-haiku", "anthropic", (0.25, 1.25)),  # anthropic.com, 2024-03-13
        ("gemini-1.5-pro", "google", (1.25, 5.00)),  # prompts up to 128k tokens
        ("deepseek-v3", "deepseek", (0.27, 1.10)),  # api-docs.deepseek.com, 2025-02
        ("qwen-max", "dashscope", (2.4, 9.6)),  # help.aliyun.com, CNY
        ("GLM-4.6", "zai", (0.6, 2.2)),  # docs.z.ai
        ("nova-pro", "aws", (0.8, 3.2)),  # aws.amazon.com/bedrock/pricing
    ],
)
def test_published_price_of_the_maker(
    model: str,
    provider: str,
    prices: tuple[float, float],
    sellers: ApiSellers,
    overrides: tuple[ApiPrice, ...],
) -> None:
    quote = api_price(model, NOW, sellers=sellers, overrides=overrides)
    assert quote.provider == provider
    assert (quote.input_per_mtok, quote.output_per_mtok) == pytest.approx(prices)


def test_ratio_of_the_report(sellers: ApiSellers) -> None:
    """The report prices GPT-4o at 16.67 times GPT-4o mini, on input and on output."""
    big, small = (api_price(m, NOW, sellers=sellers) for m in ("gpt-4o", "gpt-4o-mini"))
    assert big.input_per_mtok / small.input_per_mtok == pytest.approx(16.67, abs=0.01)
    assert big.output_per_mtok / small.output_per_mtok == pytest.approx(16.67, abs=0.01)


@pytest.mark.parametrize(
    ("day", "prices"),
    [
        ("2026-03-15", (0.14, 0.28, 0.0028)),
        ("2026-08-20", (0.22, 0.66, 0.007)),
        ("2026-09-15", (0.15, 0.60, 0.003)),
    ],
)
@pytest.mark.parametrize("hour", [2, 8, 18])
def test_history_is_not_touched_by_the_hour(
    day: str, prices: tuple[float, ...], hour: int, sellers: ApiSellers
) -> None:
    """The package would charge the surcharge of August 2026 to a request of March."""
    at = dt.datetime.fromisoformat(day).replace(hour=hour, tzinfo=dt.UTC)
    quote = api_price("deepseek-v4-flash", at, sellers=sellers)
    found = (quote.input_per_mtok, quote.output_per_mtok, quote.cached_input_per_mtok)
    assert found == pytest.approx(prices)
    assert "12:00 UTC" in quote.note


def test_quote_says_where_it_comes_from(sellers: ApiSellers) -> None:
    quote = api_price("gemini-1.5-pro", NOW, sellers=sellers)
    assert quote.source.startswith("genai-prices ")
    assert "https://" in quote.source
    assert quote.as_of == NOW.date()
    assert quote.note == "other prices above 128000 input tokens"


def test_override_goes_before_the_package(sellers: ApiSellers) -> None:
    row = ApiPrice(
        provider="openai",
        model="gpt-4o",
        currency="CNY",
        input_per_mtok=1.0,
        output_per_mtok=2.0,
        valid_from=dt.date(2026, 1, 1),
        valid_to=dt.date(2026, 6, 30),
        source="contract",
    )
    during = api_price("gpt-4o", dt.datetime(2026, 6, 30), sellers=sellers, overrides=[row])
    after = api_price("gpt-4o", dt.datetime(2026, 7, 1), sellers=sellers, overrides=[row])
    assert (during.currency, during.output_per_mtok, during.source) == ("CNY", 2.0, "contract")
    assert (after.currency, after.output_per_mtok) == ("USD", 10.0)


def test_longest_prefix_decides(sellers: ApiSellers) -> None:
    assert first_party_providers("gpt-4o", sellers) == ("openai",)
    assert first_party_providers("gpt-oss-20b", sellers) == ()
    assert first_party_providers("llama-3.1-8b", sellers) == ()


def test_unknown_model_names_the_nearest(
    sellers: ApiSellers, overrides: tuple[ApiPrice, ...]
) -> None:
    with pytest.raises(UnknownNameError, match="gpt-4o-minni") as caught:
        api_price("gpt-4o-minni", NOW, sellers=sellers, overrides=overrides)
    assert "gpt-4o-mini" in caught.value.suggestions


def test_unknown_provider_names_the_nearest(sellers: ApiSellers) -> None:
    with pytest.raises(UnknownNameError, match="opennai") as caught:
        api_price("gpt-4o", NOW, "opennai", sellers=sellers)
    assert "openai" in caught.value.suggestions


def test_no_price_before_the_first_known_day(
    sellers: ApiSellers, overrides: tuple[ApiPrice, ...]
) -> None:
    early = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(UnknownNameError, match="first known price is of 2025-12-17"):
        api_price("hunyuan-large", early, sellers=sellers, overrides=overrides)


def test_open_model_needs_a_seller(sellers: ApiSellers) -> None:
    with pytest.raises(UnknownNameError, match="name a provider"):
        api_price("gpt-oss-20b", NOW, sellers=sellers)
    assert api_price("openai/gpt-oss-20b", NOW, "groq", sellers=sellers).input_per_mtok > 0


def test_list_holds_package_and_overrides(
    sellers: ApiSellers, overrides: tuple[ApiPrice, ...]
) -> None:
    packaged = list_api_prices("deepseek", NOW, sellers=sellers, overrides=overrides)
    own = list_api_prices("baidu", NOW, sellers=sellers, overrides=overrides)
    assert "deepseek-chat" in {quote.model_ref for quote in packaged}
    assert {quote.currency for quote in own} == {"CNY"}
    with pytest.raises(UnknownNameError, match="bidu"):
        list_api_prices("bidu", NOW, sellers=sellers, overrides=overrides)


def test_import_leaves_the_price_table_unloaded() -> None:
    code = "import sys, advisor.catalogue.api_prices; assert 'genai_prices' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PRICING.parent)
