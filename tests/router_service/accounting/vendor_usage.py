"""Holds the usage objects that OpenAI, Azure and the vendors of Anthropic's format document, priced by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

from data.catalogue import load_catalogue
from data.catalogue.price import MeterPrices, Price
from router_service.core.usage import Usage

USD = 10**9  # nano-USD; as a price it is per million tokens


class Sample(NamedTuple):
    """Hold a raw ``usage``, its ``counts``, and the charges of each meter: quantity and nano-USD."""

    source: str
    usage: dict[str, Any]
    price: Price
    counts: Usage
    charges: dict[str, tuple[int, int]]
    wire_format: str = "openai_chat"
    reasoning_in_total: bool = False


def usd(prompt: float, completion: float, read: float | None = None, write: float | None = None, **more: Any) -> Price:
    """Return a price sheet of USD per million tokens; ``more`` are nano-USD."""
    figures = [None if figure is None else round(figure * USD) for figure in (prompt, completion, read, write)]
    return Price(*figures, MeterPrices(**more) if more else None)  # type: ignore[arg-type]


def listed(endpoint: str) -> Price:
    """Return the packaged catalogue's price of an endpoint."""
    every = (e for offers in load_catalogue().endpoints.values() for e in offers)
    price = next(e.price for e in every if e.id == endpoint)
    assert price is not None
    return price


OPENAI_USAGE = {
    "openai: API reference, The chat completion object": Sample(
        "openai:gpt-4.1",
        {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        usd(2, 8, 0.5),
        Usage(19, 10, 0, None, 0),
        {"prompt": (19, 38_000), "completion": (10, 80_000)},
    ),
    "openai: Prompt caching": Sample(
        "openai:gpt-4o",
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        usd(2.5, 10, 1.25),
        Usage(2006, 300, 1920, None, 0),
        {"prompt": (86, 215_000), "input_cache_read": (1920, 2_400_000), "completion": (300, 3_000_000)},
    ),
    "openai: Reasoning models": Sample(
        "openai:o3",
        {
            "input_tokens": 75,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 1186,
            "output_tokens_details": {"reasoning_tokens": 1024},
            "total_tokens": 1261,
        },
        usd(2, 8, 0.5),
        Usage(75, 1186, 0, None, 1024),
        {"prompt": (75, 150_000), "completion": (1186, 9_488_000)},
    ),
    "openai: Audio, gpt-4o-audio-preview": Sample(
        "openai:gpt-4o-audio-preview",
        {
            "prompt_tokens": 32,
            "completion_tokens": 100,
            "total_tokens": 132,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 21, "text_tokens": 11, "image_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 80, "text_tokens": 20},
        },
        usd(2.5, 10, audio=40 * USD, audio_output=80 * USD),
        Usage(32, 100, 0, None, 0, audio_prompt_tokens=21, audio_completion_tokens=80),
        {
            "prompt": (11, 27_500),
            "audio": (21, 840_000),
            "completion": (20, 200_000),
            "audio_output": (80, 6_400_000),
        },
    ),
    "openai: Pricing, a prompt above 272k": Sample(
        "openai:gpt-5.4",
        {
            "prompt_tokens": 300_000,
            "completion_tokens": 1000,
            "total_tokens": 301_000,
            "prompt_tokens_details": {"cached_tokens": 100_000},
        },
        listed("openai:gpt-5.4"),
        Usage(300_000, 1000, 100_000),
        {
            "prompt": (200_000, 1_000_000_000),
            "input_cache_read": (100_000, 50_000_000),
            "completion": (1000, 22_500_000),
        },
    ),
    "azure: Chat completions": Sample(
        "azure:gpt-4o",
        {
            "completion_tokens": 33,
            "prompt_tokens": 557,
            "total_tokens": 590,
            "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": 0},
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
        },
        usd(2.5, 10, 1.25),
        Usage(557, 33, 0, None, 0),
        {"prompt": (557, 1_392_500), "completion": (33, 330_000)},
    ),
}
MESSAGES_USAGE = {
    "anthropic: Web search tool": Sample(
        "anthropic:claude-sonnet-4-5",
        {
            "input_tokens": 105,
            "output_tokens": 6039,
            "cache_read_input_tokens": 7123,
            "cache_creation_input_tokens": 7345,
            "server_tool_use": {"web_search_requests": 1},
        },
        listed("anthropic:claude-sonnet-4-5"),
        Usage(14_573, 6039, 7123, 7345, web_searches=1),
        {
            "prompt": (105, 315_000),
            "input_cache_read": (7123, 2_136_900),
            "input_cache_write": (7345, 27_543_750),
            "completion": (6039, 90_585_000),
            "web_search": (1, 10_000_000),
        },
        "anthropic_messages",
    ),
    "anthropic: Prompt caching, 1-hour cache duration": Sample(
        "anthropic:claude-opus-4-5",
        {
            "input_tokens": 2048,
            "cache_read_input_tokens": 1800,
            "cache_creation_input_tokens": 556,
            "output_tokens": 503,
            "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
        },
        listed("anthropic:claude-opus-4-5"),
        Usage(4404, 503, 1800, 556, cache_write_1h_tokens=100),
        {
            "prompt": (2048, 10_240_000),
            "input_cache_read": (1800, 900_000),
            "input_cache_write": (456, 2_850_000),
            "input_cache_write_1h": (100, 1_000_000),
            "completion": (503, 12_575_000),
        },
        "anthropic_messages",
    ),
    "anthropic: a million tokens for an hour at 1 USD": Sample(
        "anthropic:claude-haiku-4-5",
        {
            "input_tokens": 0,
            "output_tokens": 10,
            "cache_creation_input_tokens": 1_000_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1_000_000},
        },
        listed("anthropic:claude-haiku-4-5"),
        Usage(1_000_000, 10, None, 1_000_000, cache_write_1h_tokens=1_000_000),
        {"input_cache_write_1h": (1_000_000, 2 * USD), "completion": (10, 50_000)},
        "anthropic_messages",
    ),
    "anthropic: Long context pricing": Sample(
        "anthropic:claude-sonnet-4-0",
        {
            "input_tokens": 150_000,
            "cache_read_input_tokens": 40_000,
            "cache_creation_input_tokens": 20_000,
            "output_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 10_000, "ephemeral_1h_input_tokens": 10_000},
        },
        listed("anthropic:claude-sonnet-4-0"),
        Usage(210_000, 1000, 40_000, 20_000, cache_write_1h_tokens=10_000),
        {
            "prompt": (150_000, 900_000_000),
            "input_cache_read": (40_000, 24_000_000),
            "input_cache_write": (10_000, 75_000_000),
            "input_cache_write_1h": (10_000, 120_000_000),
            "completion": (1000, 22_500_000),
        },
        "anthropic_messages",
    ),
    "minimax: Compatible Anthropic API": Sample(
        "minimax:MiniMax-M2",
        {
            "input_tokens": 108,
            "output_tokens": 91,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 14_813,
        },
        usd(0.3, 1.2, 0.03, 0.375),
        Usage(14_921, 91, 14_813, 0),
        {"prompt": (108, 32_400), "input_cache_read": (14_813, 444_390), "completion": (91, 109_200)},
        "anthropic_messages",
    ),
}
