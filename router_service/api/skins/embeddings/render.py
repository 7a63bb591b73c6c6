"""Render embeddings as OpenAI and the reference do."""

from __future__ import annotations

import base64
from typing import Any

from router_service.api.skins.task_body import served_model, usage_of_task, usage_or_nothing
from router_service.core.embeddings import EmbeddingsResult, Vector
from router_service.core.exchange import Exchange


def render_embeddings(result: EmbeddingsResult, exchange: Exchange, *, as_base64: bool) -> dict[str, Any]:
    """Return the body of the response; as base64 a vector is an array of little-endian 32-bit floats."""
    usage = usage_or_nothing(exchange)
    details = {"image_tokens": usage.image_prompt_tokens, "audio_tokens": usage.audio_prompt_tokens}
    media = {name: count for name, count in details.items() if count}
    if media:
        media["text_tokens"] = max(0, usage.prompt_tokens - sum(media.values()))
    return {
        "id": exchange.request.id,
        "object": "list",
        "model": served_model(exchange),
        "provider": exchange.outcome.provider_name,
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(one) if as_base64 else one.tolist()}
            for index, one in enumerate(result.vectors)
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "total_tokens": usage.prompt_tokens,
            **({"prompt_tokens_details": media} if media else {}),
            **usage_of_task(exchange),
        },
    }


def _packed(vector: Vector) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
