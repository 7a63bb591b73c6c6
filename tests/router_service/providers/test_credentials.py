"""Test which key a provider is called with, in which header, and what follows when it is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.providers.credentials import Account, AccountAddress, Credentials
from tests.router_service.providers.formats.parameter_cases import endpoint_for

REQUEST = HttpRequest("http://provider.test/v1", {"content-type": "application/json"}, b"{}")


class Clock:
    """Return seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def endpoint_at(url: str, wire_format: Any = "openai_chat") -> Endpoint:
    """Return an endpoint of the provider ``vendor`` at ``url``."""
    return msgspec.structs.replace(endpoint_for(wire_format, "vendor", "model-1"), base_url=url)


def account_of(endpoint: Endpoint, *keys: str, **headers: str) -> dict[AccountAddress, Account]:
    """Return the account that serves ``endpoint``."""
    at = AccountAddress(endpoint.provider, endpoint.base_url, endpoint.wire_format)
    return {at: Account(keys, headers)}


async def keys_sent(credentials: Credentials, endpoint: Endpoint, count: int) -> list[str]:
    """Return the keys of the next ``count`` requests."""
    signed = [await credentials.sign(REQUEST, endpoint) for _ in range(count)]
    return [one.headers["authorization"].removeprefix("Bearer ") for one in signed]


@pytest.mark.parametrize(
    ("wire_format", "header", "value"),
    [("openai_chat", "authorization", "Bearer key-2"), ("anthropic_messages", "x-api-key", "key-2")],
)
async def test_the_account_signs_in_the_formats_header(wire_format: str, header: str, value: str) -> None:
    """The request keeps its other headers, and gets those of the account."""
    endpoint = endpoint_at("http://a", wire_format)
    credentials = Credentials(lab=False, accounts=account_of(endpoint, "key-2", organization="mine"))
    signed = await credentials.sign(REQUEST, endpoint)
    assert signed.headers == {"content-type": "application/json", header: value, "organization": "mine"}
    assert REQUEST.headers == {"content-type": "application/json"}


async def test_the_lab_takes_any_key_and_an_own_server_none() -> None:
    """No key of a provider leaves the process when providers are imitated; a server without keys gets no header."""
    endpoint = endpoint_at("http://a")
    signed = await Credentials(lab=True).sign(REQUEST, endpoint)
    assert signed.headers["authorization"] == "Bearer lab"
    signed = await Credentials(lab=True, accounts=account_of(endpoint)).sign(REQUEST, endpoint)
    assert signed.headers == REQUEST.headers


async def test_a_key_goes_to_its_own_address_alone() -> None:
    """A request that was planned for the old address keeps the old key, whatever has been configured since."""
    old, new = endpoint_at("http://old"), endpoint_at("http://new")
    credentials = Credentials(lab=False, accounts=account_of(old, "old"))
    credentials.adopt(account_of(new, "new"))
    assert await keys_sent(credentials, old, 1) == ["old"]
    assert await keys_sent(credentials, new, 1) == ["new"]
    with pytest.raises(ApiError, match="no key of"):
        await credentials.sign(REQUEST, endpoint_at("http://other"))


async def test_a_refused_key_is_passed_over_until_it_has_cooled_down() -> None:
    """The others take turns meanwhile; a key of its own is never passed over, since nothing else could serve."""
    clock, endpoint = Clock(), endpoint_at("http://a")
    credentials = Credentials(lab=False, accounts=account_of(endpoint, "a", "b", "c"), clock=clock)
    assert await keys_sent(credentials, endpoint, 4) == ["a", "b", "c", "a"]
    refused = await credentials.sign(REQUEST, endpoint)
    assert credentials.pass_on(refused, endpoint, 429, 10.0)
    assert await keys_sent(credentials, endpoint, 3) == ["c", "a", "c"]
    clock.now += 11
    assert await keys_sent(credentials, endpoint, 3) == ["a", "b", "c"]
    assert not credentials.pass_on(refused, endpoint, 500, None)
    alone = Credentials(lab=False, accounts=account_of(endpoint, "a"))
    assert not alone.pass_on(await alone.sign(REQUEST, endpoint), endpoint, 401, None)


async def test_each_key_is_tried_for_what_another_one_may_not_use() -> None:
    """None of them is cooled down, and one that is cooled down is not tried."""
    endpoint = endpoint_at("http://a")
    credentials = Credentials(lab=False, accounts=account_of(endpoint, "a", "b", "c"), clock=Clock())
    first = await credentials.sign(REQUEST, endpoint)
    second = await credentials.sign(REQUEST, endpoint, [first])
    assert credentials.has_untried(endpoint, [first, second])
    third = await credentials.sign(REQUEST, endpoint, [first, second])
    assert len({one.headers["authorization"] for one in (first, second, third)}) == 3
    assert not credentials.has_untried(endpoint, [first, second, third])
    assert await keys_sent(credentials, endpoint, 3) == ["a", "b", "c"]
    assert credentials.pass_on(third, endpoint, 429, 10.0)
    assert not credentials.has_untried(endpoint, [first, second])
    alone = Credentials(lab=False, accounts=account_of(endpoint, "a"))
    assert not alone.has_untried(endpoint, [])


async def test_the_key_that_is_ready_first_serves_when_all_are_refused() -> None:
    """A cooled key is better than none; and accounts that stay keep what is known of their keys."""
    clock, endpoint = Clock(), endpoint_at("http://a")
    accounts = account_of(endpoint, "a", "b")
    credentials = Credentials(lab=False, accounts=accounts, clock=clock)
    first, second = await credentials.sign(REQUEST, endpoint), await credentials.sign(REQUEST, endpoint)
    assert credentials.pass_on(first, endpoint, 401, None)
    assert not credentials.pass_on(second, endpoint, 429, 5.0)
    credentials.adopt(account_of(endpoint, "a", "b"))
    assert await keys_sent(credentials, endpoint, 2) == ["b", "b"]


def test_the_secret_of_a_configured_header_is_redacted_without_its_scheme() -> None:
    """The words of other headers are no secrets by themselves."""
    at = endpoint_at("http://provider.test/v1")
    headers = {"authorization": "Bearer harbour-secret", "x-title": "An application"}
    redactor = Credentials(lab=False, accounts=account_of(at, **headers)).redactor(at)
    shown = redactor.redact_text("harbour-secret, Bearer harbour-secret, application")
    assert shown == "[redacted], [redacted], application"
