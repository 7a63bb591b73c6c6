"""Imitate Anthropic's messages at Amazon Bedrock: the address has the model, and the body the version of the API.

Sources: Amazon Bedrock user guide: Anthropic Claude Messages API; Amazon Bedrock API reference: InvokeModel,
InvokeModelWithResponseStream; the requests of the ``anthropic`` package 2.14.0.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from lab.anthropic_refusals import VERSIONS, refuse_addresses
from lab.anthropic_wire import AnthropicWire
from lab.bedrock_errors import AmazonErrors
from lab.bedrock_frames import event_frame
from lab.script import Script
from lab.shapes import RequestRefused
from lab.text import Completion

VERSION = "bedrock-2023-05-31"
# The versions of the messages API by those of the body: Anthropic's own client sends the one of the API.
SPOKEN_VERSIONS = {VERSION: "2023-06-01", "2026-10-21": "2023-06-01"} | {version: version for version in VERSIONS}
INVOKE_PATHS = (
    "/{provider}/v1/model/{model:path}/invoke",
    "/{provider}/v1/model/{model:path}/invoke-with-response-stream",
)


class BedrockAnthropicWire(AmazonErrors, AnthropicWire):
    """Implement ``Wire``: a body that names a model or a stream is refused, and a medium that has to be fetched."""

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        version = SPOKEN_VERSIONS.get(str(body.pop("anthropic_version", None)))
        if version is None:
            raise RequestRefused(f'Malformed input request: anthropic_version: "{VERSION}" is required')
        for name in ("model", "stream"):
            if name in body:
                raise RequestRefused(f"{name}: Extra inputs are not permitted")
        betas = body.pop("anthropic_beta", [])
        if not isinstance(betas, list) or not all(isinstance(beta, str) for beta in betas):
            raise RequestRefused("anthropic_beta: Input should be a valid list")
        refuse_addresses(body)
        told = {"anthropic-version": version} | ({"anthropic-beta": ",".join(betas)} if betas else {})
        super().refuse(body | {"model": "claude"}, {"x-api-key": "signed", **headers, **told})

    def events(self, completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return _wrapped(super().events(completion, body))

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return _wrapped(super().script_events(scripts, completion, body))


def invoked(request: Request) -> dict[str, Any]:
    """Return the fields that the address of a request stands for."""
    stream = request.url.path.endswith("/invoke-with-response-stream")
    return {"model": request.path_params["model"], "stream": stream}


def _wrapped(events: Sequence[bytes]) -> list[bytes]:
    """Return server-sent events as messages of an event stream."""
    data = [event.partition(b"data: ")[2].rstrip(b"\n") for event in events]
    return [event_frame("chunk", {"bytes": base64.b64encode(one).decode()}) for one in data]
