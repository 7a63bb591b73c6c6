"""Put codes of the record into words: why an endpoint was excluded, and what scores mean."""

from __future__ import annotations

from collections.abc import Mapping

LIST_PRICE = "list price in USD per million tokens, three of prompt to one of completion"
SCORES = {
    "adjusted": "USD per million tokens of this request with errors, 429s, malformed tool calls and latency "
    "priced in; for endpoints of probability 0 the list price",
    "sticky": "the figure of the strategy that would have chosen without the conversation",
    **dict.fromkeys(("price", "exacto", "learned", "wished", "sort", "order"), LIST_PRICE),
}
# Why an endpoint was excluded.
SENTENCES = {
    "data_region": "It is not known to process data only where request, key, host and installation allow.",
    "data_policy:training": "data_collection is deny, and the provider is not known to train on no data.",
    "data_policy:zdr": "zdr is set, and the provider is not known to retain no data.",
    "distillation": "enforce_distillable_text is set, and the model's author is not known to allow distillation.",
    "allowed_providers": "It is not in provider.only.",
    "ordered_providers": "It is not in provider.order, and allow_fallbacks is false.",
    "ignored_providers": "It is in provider.ignore.",
    "quantization": "Its quantization is not in provider.quantizations.",
    "min_quantization": "Its quantization has fewer bits than provider.min_quantization, or is not known.",
    "moderated": "provider.is_moderated is false, and its provider is known to filter content.",
    "not_moderated": "provider.is_moderated is true, and its provider is not known to filter content.",
    "max_price": "Its list price is above provider.max_price.",
    "require_parameters": "require_parameters is set, and it does not support every parameter of the request.",
    "context_length": "The prompt, estimated from its bytes, does not fit into its context.",
    "max_tokens": "Its limit of completion tokens is below max_tokens.",
    "disabled": "It is disabled in this installation.",
    "no_price": "It has no known price.",
    "service_tier": "Its service tier is not one that the request allows.",
}


def provider_name(endpoint: str, names: Mapping[str, str]) -> str:
    """Return the display name of an endpoint's provider, or the slug if ``names`` has none.

    ``endpoint`` is an id ``provider:upstream_model``.
    """
    slug = endpoint.partition(":")[0]
    return names.get(slug, slug)


def score_meaning(policy: str | None) -> str:
    """Describe what the candidates' scores mean under a policy."""
    return SCORES.get(policy or "", "the figure that the policy judged by")


def sentence(reason: str) -> str:
    """Return a sentence for ``reason``, or the code itself if this version does not know it."""
    kind, _, parameter = reason.partition(":")
    if kind == "unsupported":
        return f"It does not support {parameter}, and others do."
    return SENTENCES.get(reason, reason)
