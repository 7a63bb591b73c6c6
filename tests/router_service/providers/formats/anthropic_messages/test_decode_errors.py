"""Errors in any shape and with any status have the right type and the provider's sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.parts import Text
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    CONTEXT,
    FORMAT,
    ORIGIN,
    endpoint,
    read_stream,
)
from tests.router_service.providers.formats.anthropic_messages.test_decode_blocks import END, START, STOP, begin


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"{oops", b'{"content":5}', b"[" * 100000])
def test_bodies_that_are_no_message(body: bytes) -> None:
    """Anything else is an error of the provider."""
    with pytest.raises(ApiError, match="not of the messages format") as raised:
        FORMAT.decode(body, CONTEXT)
    assert raised.value.code == 502


ERRORS: list[tuple[Mapping[str, Any], str, str]] = [
    ({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow."}}, "rate_limit_exceeded", "Slow."),
    ({"error": {"message": "Too Many Requests", "code": 429}}, "rate_limit_exceeded", "Too Many Requests"),
    ({"error": "broken"}, "provider_unavailable", "broken"),
    ({"object": "error", "message": "died", "type": "InternalServerError"}, "provider_unavailable", "died"),
    (
        {"object": "error", "message": "This model's maximum context length is 4096 tokens", "code": 400},
        "context_length_exceeded",
        "This model's maximum context length is 4096 tokens",
    ),
    (
        {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8 maximum"}},
        "context_length_exceeded",
        "prompt is too long: 9 > 8 maximum",
    ),
    (
        {"type": "error", "error": {"message": "Output blocked by content filtering policy"}},
        "content_policy_violation",
        "Output blocked by content filtering policy",
    ),
    ({"error": {"type": "payload_too_large", "message": "big"}}, "payload_too_large", "big"),
    ({"base_resp": {"status_code": 1008, "status_msg": "no balance"}}, "provider_unavailable", "no balance"),
    ({"type": "error"}, "provider_unavailable", "The provider reported an error without a message"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "message"), ERRORS)
def test_errors_in_any_shape(body: dict[str, Any], kind: str, message: str) -> None:
    """An error with status 200 and one within a stream are of the same type, with the provider's sentence."""
    with pytest.raises(ApiError) as raised:
        FORMAT.decode(json.dumps(body).encode(), CONTEXT)
    assert (raised.value.error_type, raised.value.message) == (kind, message)
    found = read_stream(START, begin({"type": "text", "text": "Hello!"}), body, END, STOP)
    assert found.error is not None
    assert (found.error.error_type, found.error.message) == (kind, message)
    assert found.choices[0].parts == [Text(text="Hello!", origin=ORIGIN)]


RESPONSES = [
    (400, "invalid_request_error", "messages: odd", "invalid_request"),
    (400, "invalid_request_error", "prompt is too long: 205668 tokens > 200000 maximum", "context_length_exceeded"),
    (400, "invalid_request_error", "`max_tokens` exceed context limit: 1 + 2 > 3", "context_length_exceeded"),
    (400, "invalid_request_error", "9 > 8, the maximum allowed number of output tokens", "max_tokens_exceeded"),
    (400, "invalid_request_error", "Your credit balance is too low", "provider_unavailable"),
    (400, "invalid_request_error", "Output blocked by content filtering policy", "content_policy_violation"),
    (401, "authentication_error", "invalid x-api-key", "provider_unavailable"),
    (402, "billing_error", "billing", "provider_unavailable"),
    (403, "permission_error", "no", "permission_denied"),
    (404, "not_found_error", "model: x", "provider_unavailable"),
    (413, "request_too_large", "big", "payload_too_large"),
    (429, "rate_limit_error", "prompt is too long for your rate limit", "rate_limit_exceeded"),
    (500, "api_error", "Internal server error", "provider_unavailable"),
    (504, "timeout_error", "slow", "timeout"),
    (529, "overloaded_error", "Overloaded", "provider_overloaded"),
]


@pytest.mark.parametrize(("status", "name", "message", "kind"), RESPONSES)
def test_responses_with_a_status_of_failure(status: int, name: str, message: str, kind: str) -> None:
    """The vendor's types, and phrases that say more than they do, become the router's types."""
    body = json.dumps({"type": "error", "error": {"type": name, "message": message}}).encode()
    found = FORMAT.error(status, body, {"retry-after": "20"}, endpoint())
    assert (found.error_type, found.upstream_status, found.retry_after) == (kind, status, 20.0)
    assert message in found.message
    assert found.metadata["provider_code"] == name
    assert found.body()["metadata"]["error_type"] == kind
    assert found.body()["code"] == found.code


@pytest.mark.parametrize(("status", "kind"), [(502, "provider_unavailable"), (529, "provider_overloaded")])
def test_a_page_in_place_of_an_error(status: int, kind: str) -> None:
    """Without the vendor's envelope the status decides."""
    found = FORMAT.error(status, b"<html>502 Bad Gateway</html>", {}, endpoint())
    assert found.error_type == kind


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, {"error": "no such model"}, "provider_unavailable", "Provider returned error: no such model"),
        (
            400,
            {"error": "prompt is too long"},
            "context_length_exceeded",
            "Provider returned error: prompt is too long",
        ),
        (500, {"detail": "broken"}, "provider_unavailable", "Provider returned error 500"),
        (400, {"error": {"code": "context_length_exceeded"}}, "context_length_exceeded", "Provider returned error 400"),
        (503, ["a"], "provider_overloaded", "Provider returned error 503"),
    ],
)
def test_errors_of_imitators(status: int, body: Any, kind: str, message: str) -> None:
    found = FORMAT.error(status, json.dumps(body).encode(), {}, endpoint())
    assert (found.error_type, found.message) == (kind, message)
