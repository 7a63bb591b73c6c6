"""Explain in a sentence why an endpoint was excluded."""

from __future__ import annotations

from router_service.planning.eligibility import EXCLUDED_BY

SENTENCES = {
    "data_region": "It is not known to process only where request, key, host and installation allow.",
    "data_policy:training": "data_collection: deny, and it is not known that the provider trains on nothing.",
    "data_policy:zdr": "zdr, and it is not known that the provider keeps nothing.",
    "distillation": "enforce_distillable_text, and it is not known that the model's author allows it.",
    "allowed_providers": "It is not in provider.only.",
    "ordered_providers": "It is not in provider.order, and allow_fallbacks is false.",
    "ignored_providers": "It is in provider.ignore.",
    "quantization": "Its quantization is not in provider.quantizations.",
    "min_quantization": "Its quantization has fewer bits than provider.min_quantization, or is not known.",
    "moderated": "provider.is_moderated is false, and its provider is known to filter content.",
    "not_moderated": "provider.is_moderated is true, and it is not known that its provider filters content.",
    "max_price": "Its list price is above provider.max_price.",
    "require_parameters": "require_parameters, and it does not support every parameter of the request.",
    "context_length": "The prompt, as estimated from its bytes, does not fit into its context.",
    "max_tokens": "It gives fewer tokens than max_tokens asks for.",
    "disabled": "It is off in this installation.",
    "no_price": "It has no known price.",
    "service_tier": "It is of another service tier than those that the request admits.",
}


def sentence(reason: str) -> str:
    """Return a sentence for ``reason``, or the code itself if this version does not know it."""
    kind, _, parameter = reason.partition(":")
    if kind == "unsupported":
        return f"It does not support {parameter}, and others do."
    return SENTENCES.get(reason, reason)


def code(reason: str) -> str | None:
    """Return the reference's ``excluded_by`` code, or ``None`` if it has none."""
    return "require_parameters" if reason.startswith("unsupported:") else EXCLUDED_BY.get(reason)
