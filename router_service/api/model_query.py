"""Define the query parameters of ``/models``: names, types and bounds are those of the reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data.catalogue.geography import is_place

DEFAULT_LIMIT, MAX_LIMIT = 500, 1000
MAX_TEXT = 2000
OUTPUT_MODALITIES = ("text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription")
INPUT_MODALITIES = ("text", "image", "file", "audio", "video")
ALL = "all"
Category = Literal[
    "programming", "roleplay", "marketing", "marketing/seo", "technology", "science", "translation", "legal", "finance",
    "health", "trivia", "academia",
]  # fmt: skip
ModelSort = Literal[
    "most-popular", "newest", "top-weekly", "pricing-low-to-high", "pricing-high-to-low", "context-high-to-low",
    "throughput-high-to-low", "latency-low-to-high", "intelligence-high-to-low", "coding-high-to-low",
    "agentic-high-to-low", "design-arena-elo-high-to-low",
]  # fmt: skip


def split_list(text: str | None) -> list[str]:
    """Return the entries of a comma-separated list, without blanks and empty entries."""
    return [word for word in (part.strip() for part in (text or "").split(",")) if word]


def _inputs(text: str) -> str:
    return _known(text, INPUT_MODALITIES)


def _outputs(text: str) -> str:
    return _known(text, (*OUTPUT_MODALITIES, ALL))


def _known(text: str, known: tuple[str, ...]) -> str:
    if strange := [word for word in split_list(text) if word.lower() not in known]:
        raise ValueError(f"must be a comma-separated list of {', '.join(known)}; got {strange[0][:40]!r}")
    return text


def _place(text: str) -> str:
    if not is_place(text.lower()):
        raise ValueError("must be eu, us or a country's ISO 3166 code")
    return text.lower()


Text = Annotated[str | None, Field(max_length=MAX_TEXT)]
Region = Annotated[str, AfterValidator(_place)]
Outputs = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_outputs)]
Amount = Annotated[float | None, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)]
Days = Annotated[int | None, Field(ge=0, le=1_000_000)]
REGION_TEXT = "Only endpoints that are known to process there: eu, us, or a country's ISO 3166 code."
OUTPUTS_TEXT = 'Output modality: a comma-separated list of which a model has one, or "all". Default: text.'


class Paging(BaseModel):
    """Hold which part of a list is returned."""

    model_config = ConfigDict(frozen=True)

    offset: int | None = Field(None, ge=0, description="Number of models to skip. Without offset and limit: all.")
    limit: int | None = Field(
        None, ge=1, le=MAX_LIMIT, description="Most models to return; 500 where only offset is sent."
    )


class ModelQuery(Paging):
    """Hold the filters and the order of a list of models. A model must pass all filters."""

    category: Category | None = Field(
        None, description="Models that served categorised requests of this use case in the last seven days."
    )
    supported_parameters: Text = Field(None, description="Comma-separated list of parameters; a model supports all.")
    output_modalities: Outputs = Field("text", description=OUTPUTS_TEXT)
    sort: ModelSort | None = Field(
        None,
        description="Order. Popularity is tokens of the last seven days; throughput and latency are the medians of the "
        "best endpoint in the last 30 minutes. Models without a figure come last: benchmarks have none here.",
    )
    use_rss: Text = Field(None, description='"true": return an RSS feed.')
    use_rss_chat_links: Text = Field(
        None, description="Accepted. The router has no chat page, so that items link to the model's endpoints."
    )
    q: Text = Field(None, description="Text that is searched for in names and ids.")
    input_modalities: Annotated[Text, AfterValidator(lambda text: text and _inputs(text))] = Field(
        None, description="Comma-separated list of text, image, file, audio, video; a model takes all."
    )
    context: int | None = Field(None, ge=1, description="Smallest context length in tokens.")
    min_price: Amount = Field(None, description="Lowest price of the prompt in USD per million tokens.")
    max_price: Amount = Field(None, description="Highest price of the prompt in USD per million tokens.")
    min_output_price: Amount = Field(None, description="Lowest price of the completion in USD per million tokens.")
    max_output_price: Amount = Field(None, description="Highest price of the completion in USD per million tokens.")
    arch: Text = Field(None, description="Family of models, such as GPT, Claude or Llama.")
    model_authors: Text = Field(None, description="Comma-separated list of author slugs.")
    providers: Text = Field(None, description="Comma-separated list of provider names or slugs; one serves the model.")
    distillable: Literal["true", "false"] | None = Field(
        None, description="Whether the author is known to allow training on outputs."
    )
    zdr: Literal["true"] | None = Field(None, description="Only endpoints that are known to retain no data.")
    region: Region | None = Field(None, description=REGION_TEXT)
    min_age_days: Days = Field(None, description="Lowest age of the model in days.")
    max_age_days: Days = Field(None, description="Highest age of the model in days.")
    min_intelligence_index: Amount = Field(None, description="Models without this benchmark do not pass.")
    max_intelligence_index: Amount = Field(None, description="Models without this benchmark do not pass.")
    min_coding_index: Amount = Field(None, description="Models without this benchmark do not pass.")
    max_coding_index: Amount = Field(None, description="Models without this benchmark do not pass.")
    min_agentic_index: Amount = Field(None, description="Models without this benchmark do not pass.")
    max_agentic_index: Amount = Field(None, description="Models without this benchmark do not pass.")
    min_tool_success_rate: Share = Field(
        None, description="Lowest share of well-formed tool calls in the last seven days, in [0, 1]."
    )
    max_tool_success_rate: Share = Field(
        None, description="Highest share of well-formed tool calls in the last seven days, in [0, 1]."
    )
