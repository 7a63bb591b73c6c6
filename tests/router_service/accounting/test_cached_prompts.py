"""Test that cached prompts are priced by the sheet of the endpoint that served them, in every wire format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from data.catalogue.price import Price, hour_write_price
from lab.prefixes import MIN_TOKENS
from lab.server import Lab, create_app
from tests.clients.served import asking
from tests.conftest import Stack, open_stack, serving
from tests.router_service.conversation.spoken import SPOKEN
from tests.router_service.conversation.spoken.spoken_format import Place
from tests.router_service.providers.formats.bedrock_converse.converse_world import account_file

LONG = " The tide turns twice a day." * MIN_TOKENS


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    lab = Lab(time_scale=0.0, faults=False, strict=True)
    folder = tmp_path_factory.mktemp("cached")
    with serving(create_app(lab)) as url, open_stack(folder, lab, config=account_file(folder, url)) as opened:
        yield opened


def asked(stack: Stack, place: Place, ttl: str, *, stream: bool) -> dict[str, Any]:
    """Send a prompt with a mark through the messages API; return the row of the request."""
    mark = {"type": "ephemeral", "ttl": ttl}
    body = {
        "model": place.model,
        "max_tokens": 2000,
        "system": [{"type": "text", "text": f"{ttl} {stream}{LONG}", "cache_control": mark}],
        "messages": [{"role": "user", "content": asking("text")}],
        "provider": {"only": [place.provider]},
        "stream": stream,
    }
    with stack.client as client:
        response = client.post("/v1/messages", json=body)
    assert response.status_code == 200, response.text
    return stack.record(response.headers["x-generation-id"])


def price_of(stack: Stack, row: dict[str, Any]) -> Price:
    """Return the price of the endpoint that served: regions of a provider may have their own."""
    offers = stack.services.catalogue.endpoints[row["model"]]
    found = next(one.price for one in offers if one.id == row["endpoint"])
    assert found is not None
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["response", "stream"])
@pytest.mark.parametrize("ttl", ["5m", "1h"])
@pytest.mark.parametrize("name", SPOKEN)
def test_reads_and_writes_of_the_cache_have_their_own_prices(stack: Stack, name: str, ttl: str, stream: bool) -> None:
    """The first request writes where the provider charges for it, and the second one reads."""
    place = SPOKEN[name].places[0]
    first, again = (asked(stack, place, ttl, stream=stream) for _ in range(2))
    price = price_of(stack, again)
    prices = {
        "prompt": price.prompt,
        "input_cache_read": price.prompt if price.cache_read is None else price.cache_read,
        "input_cache_write": price.prompt if price.cache_write is None else price.cache_write,
        "input_cache_write_1h": hour_write_price(price),
        "completion": price.completion,
    }
    for row in (first, again):
        for charge in row["charges"]:
            quantity, meter = charge["quantity"], charge["meter"]
            assert charge["nano"] == (quantity * prices[meter] + 500_000) // 1_000_000, meter
        assert sum(charge["nano"] for charge in row["charges"]) == row["cost_nano"]
        assert ("cache_control" in row["dropped_parameters"]) is (not SPOKEN[name].marks_cache)
    counted = [{charge["meter"]: charge["quantity"] for charge in row["charges"]} for row in (first, again)]
    assert "input_cache_read" not in counted[0]
    assert counted[1]["input_cache_read"] == again["cached_tokens"] >= MIN_TOKENS
    written = {"input_cache_write", "input_cache_write_1h"} & counted[0].keys()
    wanted = {"5m": {"input_cache_write"}, "1h": {"input_cache_write_1h"}}[ttl]
    assert written == (wanted if SPOKEN[name].marks_cache else set())
