"""Test which key a provider is called with, and in which header."""

from __future__ import annotations

import pytest

from router_service.core.http_request import HttpRequest
from router_service.providers.credentials import Credentials
from tests.router_service.providers.formats.parameter_cases import endpoint_for

REQUEST = HttpRequest("http://provider.test/v1", {"content-type": "application/json"}, b"{}")


@pytest.mark.parametrize(
    ("wire_format", "header", "value"),
    [("openai_chat", "authorization", "Bearer key-2"), ("anthropic_messages", "x-api-key", "key-2")],
)
async def test_the_first_key_that_is_set_signs_the_request(
    monkeypatch: pytest.MonkeyPatch, wire_format: str, header: str, value: str
) -> None:
    """A variable that is missing or blank is passed over, and the request keeps its other headers."""
    monkeypatch.setenv("SECOND_KEY", " ")
    monkeypatch.setenv("THIRD_KEY", "key-2 ")
    endpoint = endpoint_for(wire_format, "vendor", "model-1", key_env=("FIRST_KEY", "SECOND_KEY", "THIRD_KEY"))
    signed = await Credentials(lab=False).sign(REQUEST, endpoint)
    assert signed.headers == {"content-type": "application/json", header: value}
    assert REQUEST.headers == {"content-type": "application/json"}


async def test_the_lab_takes_any_key() -> None:
    """No key of a provider leaves the process when providers are imitated."""
    signed = await Credentials(lab=True).sign(REQUEST, endpoint_for("openai_chat", "vendor", "model-1"))
    assert signed.headers["authorization"] == "Bearer lab"
