"""Test that failures are typed by the name that AWS gives them, in a header or within a stream."""

from __future__ import annotations

import json

import pytest

from lab.bedrock_frames import exception_frame
from router_service.core.errors import ApiError
from router_service.core.events import Failed
from tests.router_service.providers.formats.bedrock_converse.converse_world import (
    FORMAT,
    Body,
    endpoint,
    events_of,
    frames,
    read,
)

BEGUN = frames(
    ("messageStart", {"role": "assistant"}), ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}})
)


def typed(status: int, name: str | None, message: str = "No.", body: Body | None = None) -> ApiError:
    """Return the error for a response with a status of failure."""
    headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/"} if name else {}
    content = json.dumps(body or {"message": message}).encode()
    return FORMAT.error(status, content, headers, endpoint())


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "ValidationException", "invalid_request"),
        (400, "ServiceQuotaExceededException", "rate_limit_exceeded"),
        (403, "AccessDeniedException", "provider_unavailable"),
        (403, "UnrecognizedClientException", "provider_unavailable"),
        (403, "ExpiredTokenException", "provider_unavailable"),
        (404, "ResourceNotFoundException", "provider_unavailable"),
        (408, "ModelTimeoutException", "timeout"),
        (424, "ModelErrorException", "provider_unavailable"),
        (429, "ThrottlingException", "rate_limit_exceeded"),
        (429, "ModelNotReadyException", "provider_overloaded"),
        (500, "InternalServerException", "provider_unavailable"),
        (503, "ServiceUnavailableException", "provider_overloaded"),
        (429, None, "rate_limit_exceeded"),
        (418, "SomethingNewException", "provider_unavailable"),
    ],
)
def test_a_failure_is_typed_by_its_name(status: int, name: str | None, kind: str) -> None:
    """Name the error of the vendor in the metadata; without a name the status counts."""
    error = typed(status, name)
    assert (error.error_type, error.message, error.upstream_status) == (kind, "Provider returned error: No.", status)
    assert error.metadata.get("provider_code") == name


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Input is too long for requested model.", "context_length_exceeded"),
        ("The model returned the following errors: prompt is too long: 210000 tokens > 200000 maximum",
         "context_length_exceeded"),
        ("The maximum tokens you requested exceeds the model limit of 4096.", "max_tokens_exceeded"),
        ("The provided model identifier is invalid.", "provider_unavailable"),
        ("Invocation of model ID x with on-demand throughput isn’t supported.", "provider_unavailable"),
    ],
)  # fmt: skip
def test_a_validation_says_more_than_its_name(message: str, kind: str) -> None:
    """Recognise a prompt that is too long, and what is no fault of the client."""
    assert typed(400, "ValidationException", message).error_type == kind
    (*_, failed) = events_of([*BEGUN, exception_frame("validationException", message)])
    assert isinstance(failed, Failed) and failed.error.error_type == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limit_exceeded"),
        ("modelStreamErrorException", "provider_unavailable"),
        ("validationException", "invalid_request"),
        ("serviceUnavailableException", "provider_overloaded"),
        ("internalServerException", "provider_unavailable"),
        ("modelTimeoutException", "timeout"),
        ("somethingNewException", "provider_unavailable"),
    ],
)
def test_an_exception_ends_a_stream(name: str, kind: str) -> None:
    """End the open part, and the answer as a failure."""
    events = events_of([*BEGUN, exception_frame(name, "Sorry.")])
    assert [type(event).__name__ for event in events] == ["Began", "PartBegan", "PartDelta", "PartEnded", "Failed"]
    assert isinstance(events[-1], Failed)
    error = events[-1].error
    assert (error.error_type, error.message, error.metadata) == (kind, "Sorry.", {"provider_code": name})


def test_errors_in_other_shapes_are_read() -> None:
    """Read the name in the body, a message with a capital, and a body that is no JSON."""
    named = typed(400, None, body={"__type": "com.amazon#ThrottlingException", "Message": "Slow down."})
    assert (named.error_type, named.message) == ("rate_limit_exceeded", "Provider returned error: Slow down.")
    page = FORMAT.error(503, b"<html>", {}, endpoint())
    assert (page.error_type, page.message) == ("provider_overloaded", "Provider returned error 503")


def test_an_error_inside_a_200_is_an_error() -> None:
    """Never make a success of what is no answer."""
    with pytest.raises(ApiError, match="Slow down") as raised:
        read({"__type": "ThrottlingException", "message": "Slow down."})
    assert raised.value.error_type == "rate_limit_exceeded"
    for body in ({}, [], {"output": {}}, {"Output": 7}):
        with pytest.raises(ApiError, match="is not of the Converse format"):
            read(body)
