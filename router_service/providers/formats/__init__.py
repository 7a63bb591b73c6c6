"""List the wire formats by name. A new format is a folder here and an entry, or a package that registers itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import msgspec

from data.catalogue.types import Endpoint
from router_service.providers.formats.anthropic_messages import media as messages_media
from router_service.providers.formats.anthropic_messages.format import AnthropicMessagesFormat
from router_service.providers.formats.bedrock_converse import media as converse_media
from router_service.providers.formats.bedrock_converse.format import BedrockConverseFormat
from router_service.providers.formats.cohere import embeddings
from router_service.providers.formats.cohere.embeddings import CohereEmbeddings
from router_service.providers.formats.cohere.format import CohereFormat
from router_service.providers.formats.cohere.rerank import CohereRerank
from router_service.providers.formats.gemini import embeddings as gemini_embeddings
from router_service.providers.formats.gemini.embeddings import GeminiEmbeddings
from router_service.providers.formats.gemini.format import GeminiFormat
from router_service.providers.formats.openai_chat import turns
from router_service.providers.formats.openai_chat.embeddings import OpenAIEmbeddings
from router_service.providers.formats.openai_chat.format import OpenAIChatFormat
from router_service.providers.formats.openai_chat.images import OpenAIImages
from router_service.providers.formats.openai_responses.format import OpenAIResponsesFormat
from router_service.providers.task_format import TaskFormats
from router_service.providers.wire_format import DataAlone, ParameterSupport, WireFormat

FORMATS: Mapping[str, WireFormat] = {
    "openai_chat": OpenAIChatFormat(),
    "openai_responses": OpenAIResponsesFormat(),
    "anthropic_messages": AnthropicMessagesFormat(),
    "gemini": GeminiFormat(),
    "cohere": CohereFormat(),
    "bedrock_converse": BedrockConverseFormat(),
}
GROUP = "portolan.formats"
# These have the pairs of ``data.catalogue.task_facts.SPOKEN``.
TASK_FORMATS: TaskFormats = {
    ("openai_chat", "embeddings"): OpenAIEmbeddings(),
    ("cohere", "embeddings"): CohereEmbeddings(),
    ("gemini", "embeddings"): GeminiEmbeddings(),
    ("cohere", "rerank"): CohereRerank(),
    ("openai_chat", "images"): OpenAIImages(),
}
# By wire format: which media it takes as data alone. The router fetches these; formats without an entry take URLs, or
# say themselves what they refuse.
TAKES_DATA_ALONE: DataAlone = {
    "anthropic_messages": messages_media.takes_data_alone,
    "openai_chat": turns.takes_data_alone,
    "cohere": embeddings.takes_data_alone,
    "gemini": gemini_embeddings.takes_data_alone,
    "bedrock_converse": converse_media.takes_data_alone,
}
_REACHING = (ParameterSupport.NATIVE, ParameterSupport.EMULATED)


def with_supported_parameters(endpoint: Endpoint) -> Endpoint:
    """Return ``endpoint`` with those of its supported parameters that its format has at its provider and model.

    The catalogue knows what a model takes. A parameter that the format has to drop or to refuse does not reach it.
    Those of other tasks than chat are the ones that their formats have.
    """
    if endpoint.task != "chat":
        return endpoint
    support = wire_formats()[endpoint.wire_format].support_of(endpoint)
    kept = frozenset(name for name in endpoint.supported_parameters if support.get(name) in _REACHING)
    if kept == endpoint.supported_parameters:
        return endpoint
    return msgspec.structs.replace(endpoint, supported_parameters=kept)


def format_names() -> list[str]:
    """Return the names of the router's own formats, and then of those that installed packages add."""
    return [*FORMATS, *sorted(_installed().keys() - FORMATS.keys())]


@cache
def wire_formats() -> Mapping[str, WireFormat]:
    """Return all formats by name.

    A package registers a class without arguments as an entry point of the group ``portolan.formats``; the router's own
    names stay its own. Raises ``ValueError`` for a package that cannot be loaded, with its name and the reason.
    """
    return {name: _loaded(point) for name, point in _installed().items()} | dict(FORMATS)


@cache
def _installed() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _loaded(point: EntryPoint) -> WireFormat:
    try:
        found: WireFormat = point.load()()
    except Exception as error:
        package = point.dist.name if point.dist else point.value
        raise ValueError(f"the wire format {point.name} of the package {package} cannot be loaded: {error}") from error
    return found
