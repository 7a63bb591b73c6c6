"""Imitate Anthropic's messages at Vertex AI: the address has the model, and the body the version of the API.

Sources: Claude docs: Claude on Vertex AI; Vertex AI reference: publishers.models.rawPredict and streamRawPredict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from lab.anthropic_refusals import VERSIONS, refuse_addresses
from lab.anthropic_wire import AnthropicWire
from lab.gemini_refusals import BAD_TOKEN
from lab.gemini_server import TokenOffice
from lab.shapes import RequestRefused

VERSION = "vertex-2023-10-16"
# The versions of the messages API by those of the body: Anthropic's own client sends the one of the API.
SPOKEN_VERSIONS = {VERSION: "2023-06-01"} | {version: version for version in VERSIONS}
VERTEX_ANTHROPIC_PATH = "/{provider}/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{call}"
METHODS = ("rawPredict", "streamRawPredict")


class VertexAnthropicWire(AnthropicWire):
    """Implement ``Wire``: a body that names a model is refused, and so is an image that has to be fetched."""

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        version = SPOKEN_VERSIONS.get(str(body.pop("anthropic_version", None)))
        if version is None:
            raise RequestRefused(f"anthropic_version: must be {VERSION}")
        if "model" in body:
            raise RequestRefused("model: Extra inputs are not permitted")
        refuse_addresses(body)
        super().refuse(body | {"model": "claude"}, {**headers, "anthropic-version": version})


@dataclass(frozen=True, slots=True)
class Prediction:
    """Hold what the address of a request says."""

    model: str
    method: str
    authorization: str

    @classmethod
    def read(cls, request: Request) -> Prediction:
        """Read the address of ``request``."""
        model, _, method = request.path_params["call"].partition(":")
        return cls(model, method, request.headers.get("authorization", ""))

    @property
    def address(self) -> dict[str, Any]:
        """Return the fields that the address stands for."""
        return {"model": self.model, "stream": self.method == "streamRawPredict"}

    def refusal(self, office: TokenOffice) -> RequestRefused | None:
        """Return why Google refuses this address, ``None`` if it does not."""
        if self.method not in METHODS:
            return RequestRefused("The requested URL was not found on this server.", status=404, kind="not_found_error")
        if not office.knows(self.authorization):
            return RequestRefused(BAD_TOKEN, status=401, kind="authentication_error")
        return None
