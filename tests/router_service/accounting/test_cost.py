"""Test how price sheets apply: meters, steps above a length, windows of the day, and responses that are not charged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue.price import MeterPrices, Price, PriceStep, UtcWindow
from data.record.charges import Charge, total_nano
from router_service.accounting.cost import cost_of, waived_cost
from router_service.core.usage import CostBreakdown, Usage

USD = 10**9
DAY_S = 86_400
MONDAY = 4 * DAY_S  # Unix time began on a Thursday
TOKENS = st.integers(0, 10**7)
PRICES = st.none() | st.integers(0, 10**12)
# As DeepSeek's page stated them for V3 until 5 September 2025: half price from 16:30 to 00:30 UTC.
OFF_PEAK = Price(
    270_000_000,
    1_100_000_000,
    70_000_000,
    meters=MeterPrices(
        steps=(
            PriceStep(
                (("prompt", 135_000_000), ("completion", 550_000_000), ("cache_read", 35_000_000)),
                window=UtcWindow(16 * 60 + 30, 30),
            ),
        )
    ),
)


@pytest.mark.parametrize(
    ("hour", "minute", "nano"),
    [(16, 29, 270_000_000), (16, 30, 135_000_000), (23, 59, 135_000_000), (0, 29, 135_000_000), (0, 30, 270_000_000)],
)
def test_a_window_may_pass_midnight_and_its_end_is_outside(hour: int, minute: int, nano: int) -> None:
    """Off-peak prices hold from the first minute of the window to the last before its end."""
    cost = cost_of(Usage(1_000_000, 0), OFF_PEAK, lambda: MONDAY + 3600 * hour + 60 * minute)
    assert cost.total == nano


@pytest.mark.parametrize(("day", "nano"), [(0, 2 * USD), (4, 2 * USD), (5, USD), (6, USD)])
def test_a_window_holds_on_its_weekdays_alone(day: int, nano: int) -> None:
    """Peak prices are those of working days."""
    peak = PriceStep((("prompt", 2 * USD),), window=UtcWindow(60, 240, (0, 1, 2, 3, 4)))
    price = Price(USD, USD, meters=MeterPrices(steps=(peak,)))
    assert cost_of(Usage(1_000_000, 0), price, lambda: MONDAY + day * DAY_S + 2 * 3600).total == nano


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    """One that begins on Friday evening lasts into Saturday, one of Saturday has no part of Friday."""
    friday, saturday = UtcWindow(1380, 60, (4,)), UtcWindow(1380, 60, (5,))
    assert friday.contains(5 * 1440 + 30) and not saturday.contains(5 * 1440 + 30)


def test_the_step_counts_cached_tokens_and_begins_above_its_length() -> None:
    """The whole prompt costs what the step says, not only the part above its length."""
    price = Price(USD, USD, USD // 10, meters=MeterPrices(steps=(PriceStep((("prompt", 2 * USD),), 200_000),)))
    assert cost_of(Usage(200_000, 0, 150_000), price).prompt == 50_000 * 1000
    assert cost_of(Usage(200_001, 0, 150_000), price).prompt == 50_001 * 2000


def test_of_several_steps_the_later_one_wins_and_others_stay() -> None:
    """Each step replaces the prices that it names; the rest are those of the step before."""
    steps = (PriceStep((("prompt", 2 * USD), ("completion", 3 * USD)), 100), PriceStep((("prompt", 4 * USD),), 1000))
    cost = cost_of(Usage(2000, 1000), Price(USD, USD, meters=MeterPrices(steps=steps)))
    assert (cost.prompt, cost.completion) == (8_000_000, 3_000_000)


def test_the_clock_is_read_for_prices_with_steps_alone() -> None:
    """The path of most requests asks for no time."""

    def broken() -> float:
        raise AssertionError("the clock was read")

    assert cost_of(Usage(1000, 10), Price(USD, USD, meters=MeterPrices(request=5)), broken).fees == 5


def test_an_hour_write_costs_twice_the_prompt_where_no_price_is_given() -> None:
    """Five minutes cost 1.25 times the prompt, an hour 2.00 times."""
    cost = cost_of(Usage(3_000_000, 0, None, 2_000_000, None, 1_000_000), Price(USD, USD, USD // 10, USD * 5 // 4))
    assert [(one.meter, one.nano) for one in cost.charges] == [
        ("prompt", USD),
        ("input_cache_write", USD * 5 // 4),
        ("input_cache_write_1h", 2 * USD),
    ]


def test_a_free_endpoint_costs_nothing() -> None:
    """The charges of a free endpoint are 0, and still say what was counted."""
    cost = cost_of(Usage(1000, 50, 10, 10), Price(0, 0))
    assert cost.total == 0
    assert sum(one.quantity for one in cost.charges) == 1050


def test_a_request_of_which_nothing_was_reported_has_no_fee() -> None:
    """Nothing is billed where the provider reports no usage."""
    assert cost_of(Usage(), Price(USD, USD, meters=MeterPrices(request=5_000_000))).charges == []


def test_what_is_waived_leaves_the_searches() -> None:
    """The tokens and the request of an empty response are not charged for; its searches were made."""
    price = Price(USD, USD, meters=MeterPrices(request=5_000_000, web_search=10_000_000))
    cost = waived_cost(Usage(1000, 0, web_searches=2), price)
    assert (cost.total, cost.charges) == (20_000_000, [Charge("web_search", 2, 20_000_000)])


@pytest.mark.parametrize("charge", [cost_of, waived_cost])
def test_a_cache_that_was_made_is_charged_beside_the_prompt_that_reads_it(charge: Callable[..., CostBreakdown]) -> None:
    """A million tokens are written and stored for five minutes; both are charged if nothing came of the request too."""
    price = Price(USD, USD, USD // 10, meters=MeterPrices(cache_storage=4_500_000_000))
    used = Usage(1_000_100, 0, 1_000_000, cache_made_tokens=1_000_000, cache_token_minutes=5_000_000)
    cost = charge(used, price)
    made = [Charge("input_cache_write", 1_000_000, USD), Charge("cache_storage", 5_000_000, 375_000_000)]
    assert [one for one in cost.charges if one.meter not in ("prompt", "input_cache_read")] == made
    assert (cost.fees, cost.prompt - USD) == (375_000_000, 100_000 if charge is cost_of else 0)
    assert total_nano(cost.charges) == cost.total


@given(
    st.builds(Usage, *[TOKENS] * 2, *[st.none() | TOKENS] * 9),
    st.builds(
        Price,
        st.integers(0, 10**12),
        st.integers(0, 10**12),
        PRICES,
        PRICES,
        st.none() | st.builds(MeterPrices, *[PRICES] * 8),
    ),
)
def test_every_token_is_charged_once_whatever_the_counts(usage: Usage, price: Price) -> None:
    """Counts that contradict each other are cut, and the charges sum to the parts of the cost."""
    cost = cost_of(usage, price)
    fees = [one for one in cost.charges if one.meter in ("request", "web_search")]
    tokens = [one for one in cost.charges if one not in fees]
    assert sum(one.quantity for one in tokens) == usage.prompt_tokens + usage.completion_tokens
    assert total_nano(cost.charges) == cost.total == cost.prompt + cost.cached + cost.completion + cost.fees
    assert total_nano(fees) == cost.fees
    assert len({one.meter for one in cost.charges}) == len(cost.charges)
    assert all(one.quantity > 0 and one.nano >= 0 for one in cost.charges)


@given(st.builds(Usage, TOKENS, TOKENS, st.none() | TOKENS, st.none() | TOKENS))
def test_a_plain_price_and_one_with_meters_agree(usage: Usage) -> None:
    """The short path for most prices gives what the long one does."""
    plain = Price(3 * USD, 15 * USD, 300_000_001, 3_750_000_001)
    with_meters = Price(3 * USD, 15 * USD, 300_000_001, 3_750_000_001, MeterPrices(web_search=1))
    assert cost_of(usage, plain) == cost_of(usage, with_meters)
