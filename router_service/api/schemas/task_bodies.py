"""Describe the bodies of tasks other than chat."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router_service.api.schemas.chat_bodies import CostDetailsBody
from router_service.api.schemas.described import ResponseSchema
from router_service.api.schemas.request_fields import TraceSchema
from router_service.api.skins.embeddings.parse import MAX_DIMENSIONS, MAX_PARTS
from router_service.api.skins.images.parse import ASPECT_RATIOS, MAX_IMAGES, MAX_REFERENCES
from router_service.api.skins.rerank.parse import MAX_DOCUMENTS
from router_service.core.images import Background, ImageFormat, Quality, Resolution
from router_service.core.preferences import Preferences


class TaskRequestFields(msgspec.Struct, kw_only=True):
    """Describe what routing and the record read for every task."""

    model: str | None = None
    models: Annotated[list[str], Meta(max_length=20, description="Tried in this order, after `model`")] | None = None
    provider: Preferences | None = None
    user: Annotated[str, Meta(max_length=1024)] | None = None
    session_id: Annotated[str, Meta(max_length=256)] | None = None
    trace: TraceSchema | None = None
    stream: Annotated[bool | None, Meta(description="True is refused: these APIs answer at once")] = None


class ImagesRequestBody(TaskRequestFields, kw_only=True):
    """Describe a request for images. One of ``model`` and ``models`` is required."""

    prompt: Annotated[str, Meta(min_length=1)]
    n: Annotated[int, Meta(ge=1, le=MAX_IMAGES)] | None = None
    size: Annotated[str | None, Meta(examples=["1024x1024", "2K", "auto"])] = None
    aspect_ratio: Annotated[str | None, Meta(extra_json_schema={"enum": [*ASPECT_RATIOS, None]})] = None
    resolution: Resolution | None = None
    quality: Quality | None = None
    background: Background | None = None
    output_format: ImageFormat | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    seed: int | None = None
    input_references: Annotated[list[dict[str, Any]], Meta(max_length=MAX_REFERENCES)] | None = None
    response_format: Annotated[str | None, Meta(extra_json_schema={"enum": ["b64_json", None]})] = None


class ImageBody(ResponseSchema):
    """Describe one image."""

    b64_json: str
    media_type: str | UnsetType = UNSET


class ImagesUsageBody(ResponseSchema):
    """Describe the tokens by the reference's names and by OpenAI's, and the cost in US dollars."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: dict[str, int]
    input_tokens: int
    output_tokens: int
    input_tokens_details: dict[str, int]
    cost: float
    is_byok: bool
    cost_details: CostDetailsBody


class ImagesBody(ResponseSchema):
    """Describe the generated images."""

    created: Annotated[int, Meta(description="Unix seconds")]
    data: list[ImageBody]
    usage: ImagesUsageBody


class ImageArchitectureBody(ResponseSchema):
    """Describe what an image model takes and returns."""

    input_modalities: list[str]
    output_modalities: list[str]


class ImageModelBody(ResponseSchema):
    """Describe an image model. ``supported_parameters`` are those that one of its endpoints supports."""

    id: str
    name: str
    description: str
    created: int
    architecture: ImageArchitectureBody
    supported_parameters: dict[str, dict[str, Any]]
    supports_streaming: bool
    endpoints: Annotated[str, Meta(description="Address of the list of endpoints")]


class ImageModelListBody(ResponseSchema):
    """Describe the list of image models."""

    data: list[ImageModelBody]


class ImagePriceBody(ResponseSchema):
    """Describe one line of a price sheet."""

    billable: str
    unit: str
    cost_usd: float


class ImageEndpointBody(ResponseSchema):
    """Describe an endpoint of an image model."""

    provider_name: str
    provider_slug: str
    provider_tag: str | None
    supported_parameters: dict[str, dict[str, Any]]
    allowed_passthrough_parameters: list[str]
    supports_streaming: bool
    pricing: list[ImagePriceBody]


class ImageModelEndpointsBody(ResponseSchema):
    """Describe the endpoints of an image model."""

    id: str
    endpoints: list[ImageEndpointBody]


class RerankDocumentBody(msgspec.Struct):
    """Describe a document with text, an image (a URL or a data URL) or both."""

    text: str | None = None
    image: str | None = None


class RerankRequestBody(TaskRequestFields, kw_only=True):
    """Describe a request to rank documents. One of ``model`` and ``models`` is required."""

    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | RerankDocumentBody], Meta(min_length=1, max_length=MAX_DOCUMENTS)]
    top_n: Annotated[int, Meta(ge=1, description="How many of the most relevant documents are returned")] | None = None
    return_documents: Annotated[bool, Meta(description="False: the response has no documents")] | None = None


class RankedDocumentBody(ResponseSchema):
    """Describe a document, its place in the request, and its relevance: the higher, the more relevant."""

    index: int
    relevance_score: float
    document: dict[str, str] | UnsetType = UNSET


class RerankUsageBody(ResponseSchema):
    """Describe what was used, and its cost in US dollars."""

    total_tokens: int
    cost: float
    is_byok: bool
    cost_details: CostDetailsBody
    search_units: int | UnsetType = UNSET


class RerankBody(ResponseSchema):
    """Describe the ranked documents, the most relevant first."""

    id: str
    model: str
    provider: str | None
    results: list[RankedDocumentBody]
    usage: RerankUsageBody


class EmbeddingContentBody(msgspec.Struct):
    """Describe an input of several parts, which have one vector together; parts are those of chat messages."""

    content: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=MAX_PARTS)]


class EmbeddingsRequestBody(TaskRequestFields, kw_only=True):
    """Describe a request for embeddings. One of ``model`` and ``models`` is required."""

    input: Annotated[
        str | list[str | int | list[int] | EmbeddingContentBody],
        Meta(
            description="A text, an array of at most 2,048 texts, the tokens of a text, an array of arrays of tokens, "
            "or an array of inputs of several parts"
        ),
    ]
    dimensions: Annotated[int, Meta(ge=1, le=MAX_DIMENSIONS)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    input_type: Annotated[str, Meta(max_length=1024, examples=["search_query"])] | None = None


class EmbeddingBody(ResponseSchema):
    """Describe one vector: numbers, or base64 of little-endian 32-bit floats."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsageBody(ResponseSchema):
    """Describe the tokens of the inputs, and their cost in US dollars."""

    prompt_tokens: int
    total_tokens: int
    cost: float
    is_byok: bool
    cost_details: CostDetailsBody
    prompt_tokens_details: dict[str, int] | UnsetType = UNSET


class EmbeddingsBody(ResponseSchema):
    """Describe the vectors of all inputs, in their order."""

    id: str
    object: Literal["list"]
    model: str
    provider: str | None
    data: list[EmbeddingBody]
    usage: EmbeddingsUsageBody
