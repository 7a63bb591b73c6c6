"""Define how a wire format translates a task other than chat, without state and without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Completed, Ended, Event, Metered, TaskResult
from router_service.core.http_request import HttpRequest
from router_service.core.images import ImagesRequest
from router_service.core.rerank import RerankRequest
from router_service.core.usage import Usage
from router_service.providers.lenient_json import decode_json

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


def read_json(body: bytes, what: str) -> Any:
    """Return the value of ``body``, which may be large. Raises ``ApiError`` 502 that names ``what`` if it has none."""
    try:
        return decode_json(body)
    except ValueError:
        raise unusable(what, "the response is not valid JSON") from None


def completed(result: TaskResult, found: Mapping[str, Any], usage: Usage | None) -> list[Event]:
    """Return the events of a complete answer; ``found`` is the response, whose ``id`` is the provider's own."""
    upstream_id = found.get("id")
    done = Completed(result, upstream_id if isinstance(upstream_id, str) else None)
    return [done, *([Metered(usage)] if usage is not None else ()), Ended()]


def unusable(what: str, problem: str) -> ApiError:
    """Return the error for ``what`` of a response, such as its images, that cannot be given to the client."""
    return ApiError("provider_unavailable", f"The provider's {what} cannot be used: {problem}")
