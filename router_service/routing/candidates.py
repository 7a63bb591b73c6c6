"""Which endpoints may serve a request at all, and for each that may not, why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from data.catalogue.types import Endpoint, Price
from router_service.routing.preferences import Preferences, matches

QUANTIZATION_FAMILIES = {"fp4": ("fp4", "mxfp4", "nvfp4"), "fp8": ("fp8", "mxfp8")}
SOFT_PARAMETERS = frozenset({"tools", "response_format", "verbosity"})
# Names of the body that are not capabilities of an endpoint.
NEVER_REQUIRED = frozenset(
    {"model", "models", "messages", "prompt", "stream", "stream_options", "provider", "usage", "user"}
    | {"metadata", "trace", "session_id", "plugins", "route", "transforms", "debug", "n", "preset"}
    | {"service_tier", "prompt_cache_key", "cache_control", "max_completion_tokens", "store"}
)


class Ask(NamedTuple):
    """What a plan depends on besides preferences, each value already coarse enough to be a cache key.

    ``prompt_tokens`` is an estimate; ``max_tokens`` what the client allows, or ``None``.
    """

    prompt_tokens: int
    max_tokens: int | None
    parameters: tuple[str, ...]
    stream: bool
    tools: bool
    hour: int


class Filtered(NamedTuple):
    eligible: list[Endpoint]
    excluded: list[tuple[Endpoint, str]]


def blended(price: Price) -> int:
    """nano-USD per million tokens at three prompt tokens to one completion token, the common chat mix."""
    return (3 * price.prompt + price.completion) // 4


def filter_endpoints(endpoints: Sequence[Endpoint], preferences: Preferences, ask: Ask) -> Filtered:
    """Split ``endpoints`` by the hard preferences. Reason codes follow the reference's ``excluded_by``."""
    rules = _rules(preferences, ask)
    eligible: list[Endpoint] = []
    excluded: list[tuple[Endpoint, str]] = []
    for endpoint in endpoints:
        reason = endpoint.disabled_reason or "disabled" if not endpoint.enabled else None
        if reason is None and endpoint.price is None:
            reason = "no_price"
        if reason is None:
            reason = next((code for code, passes in rules if not passes(endpoint)), None)
        if reason is None:
            eligible.append(endpoint)
        else:
            excluded.append((endpoint, reason))
    return _prefer_soft(eligible, excluded, ask)


def _rules(preferences: Preferences, ask: Ask) -> list[tuple[str, Callable[[Endpoint], bool]]]:
    rules: list[tuple[str, Callable[[Endpoint], bool]]] = []
    if preferences.only:
        only = preferences.only
        rules.append(("allowed_providers", lambda e: _named(e, only)))
    if preferences.ignore:
        ignore = preferences.ignore
        rules.append(("ignored_providers", lambda e: not _named(e, ignore)))
    if preferences.order and preferences.allow_fallbacks is False:
        order = preferences.order
        rules.append(("allowed_providers", lambda e: _named(e, order)))
    if preferences.quantizations:
        wanted = {q for name in preferences.quantizations for q in QUANTIZATION_FAMILIES.get(name, (name,))}
        rules.append(("quantization", lambda e: e.quantization in wanted))
    limit = preferences.max_price
    if limit is not None:
        most_prompt, most_completion = _nano(limit.prompt), _nano(limit.completion)
        rules.append(("max_price", lambda e: e.price is not None and _under(e.price, most_prompt, most_completion)))
    if preferences.require_parameters:
        needed = frozenset(ask.parameters) - NEVER_REQUIRED
        rules.append(("require_parameters", lambda e: needed <= e.supported_parameters))
    # The estimate is bytes / 4: half as much again leaves room for what it gets wrong.
    rules.append(("context_length", lambda e: not e.context_length or ask.prompt_tokens <= 1.5 * e.context_length))
    if ask.max_tokens:
        most = ask.max_tokens
        rules.append(("max_tokens", lambda e: e.max_completion_tokens is None or most <= e.max_completion_tokens))
    return rules


def _prefer_soft(eligible: list[Endpoint], excluded: list[tuple[Endpoint, str]], ask: Ask) -> Filtered:
    for name in SOFT_PARAMETERS.intersection(ask.parameters):
        able = [e for e in eligible if name in e.supported_parameters]
        if able and len(able) < len(eligible):
            excluded.extend((e, f"unsupported:{name}") for e in eligible if e not in able)
            eligible = able
    return Filtered(eligible, excluded)


def _named(endpoint: Endpoint, slugs: tuple[str, ...]) -> bool:
    return any(matches(slug, endpoint.tag, endpoint.provider_name) for slug in slugs)


def _nano(usd_per_million: float | str | None) -> int | None:
    return None if usd_per_million is None else int(float(usd_per_million) * 1e9)


def _under(price: Price, prompt: int | None, completion: int | None) -> bool:
    return (prompt is None or price.prompt <= prompt) and (completion is None or price.completion <= completion)
