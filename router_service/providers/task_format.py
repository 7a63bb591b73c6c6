"""Define how a wire format translates a task other than chat, without state and without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.http_request import HttpRequest
from router_service.core.images import ImagesRequest
from router_service.core.rerank import RerankRequest

TaskRequest = EmbeddingsRequest | RerankRequest | ImagesRequest
Asked = TypeVar("Asked", contravariant=True)


class EncodedTask(msgspec.Struct, frozen=True):
    """Hold a request without credentials; ``dropped`` names the parameters that were left out, sorted."""

    request: HttpRequest
    dropped: tuple[str, ...] = ()


class TaskFormat(Protocol[Asked]):
    """Translate one task to and from one wire format."""

    def encode(self, asked: Asked, endpoint: Endpoint) -> EncodedTask:
        """Translate a request. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""

    def decode(self, body: bytes, asked: Asked) -> list[Event]:
        """Return ``Completed``, ``Metered`` where the provider reports usage, and ``Ended``.

        Raises ``ApiError`` 502 for a body that does not answer ``asked`` in full, or the error inside a 200.
        """

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""


# By wire format and task.
TaskFormats = Mapping[tuple[str, str], TaskFormat[Any]]
