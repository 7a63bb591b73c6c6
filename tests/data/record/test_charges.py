"""Charges are rounded once each; their sum is the cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue.types import Price
from data.record.charges import Charge, total_nano
from router_service.accounting.cost import cost_of
from router_service.core.usage import Usage

TOKENS = st.integers(0, 10**7)
PRICES = st.integers(0, 10**12)


@pytest.mark.parametrize(("tokens", "price", "nano"), [(1, 499_999, 0), (1, 500_000, 1), (3, 500_000, 2)])
def test_a_charge_is_rounded_half_up(tokens: int, price: int, nano: int) -> None:
    assert cost_of(Usage(tokens, 0), Price(price, 0)).charges == [Charge("prompt", tokens, nano)]


@given(TOKENS, TOKENS, TOKENS, TOKENS, PRICES, PRICES, st.none() | PRICES, st.none() | PRICES)
def test_charges_sum_to_the_cost(
    prompt: int, completion: int, cached: int, written: int, asked: int, given: int, read: int | None, write: int | None
) -> None:
    usage = Usage(prompt, completion, cached_tokens=cached, cache_write_tokens=written)
    cost = cost_of(usage, Price(asked, given, read, write))
    assert total_nano(cost.charges) == cost.total == cost.prompt + cost.cached + cost.completion
    by_meter = {one.meter: one for one in cost.charges}
    assert len(by_meter) == len(cost.charges)
    assert sum(one.quantity for one in cost.charges) == prompt + completion
    assert all(one.quantity > 0 for one in cost.charges)
