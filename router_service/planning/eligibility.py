"""Which endpoints may serve a request at all, and for each that may not, why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from data.catalogue.geography import within
from data.catalogue.types import Endpoint, Price
from models.selection.decision.features import planned_limit
from router_service.core.preferences import QUANTIZATION_BITS, MaxPrice, Preferences, slug_matches
from router_service.core.request import Head

QUANTIZATION_FAMILIES = {"fp4": ("fp4", "mxfp4", "nvfp4"), "fp8": ("fp8", "mxfp8")}
# In the order in which they narrow the choice.
SOFT_PARAMETERS = ("tools", "response_format", "verbosity")
# Names of the body that are not capabilities of an endpoint.
NEVER_REQUIRED = frozenset(
    {"model", "models", "messages", "prompt", "stream", "stream_options", "provider", "usage", "user"}
    | {"metadata", "trace", "session_id", "plugins", "route", "transforms", "debug", "n", "preset"}
    | {"service_tier", "speed", "prompt_cache_key", "cache_control", "max_completion_tokens", "store"}
)
# Our reason → the reference's ``reference_reason``. ``unsupported:<parameter>`` is a requirement, too.
EXCLUDED_BY = {
    "data_region": "data_region",
    "data_policy:training": "data_policy:training",
    "data_policy:zdr": "data_policy:zdr",
    "distillation": "data_policy:training",
    "allowed_providers": "allowed_providers",
    "ordered_providers": "allowed_providers",
    "ignored_providers": "allowed_providers",
    "quantization": "quantization",
    "min_quantization": "quantization",
    "moderated": "allowed_providers",
    "not_moderated": "allowed_providers",
    "max_price": "max_price",
    "require_parameters": "require_parameters",
    "context_length": "context_length",
    "max_tokens": "context_length",
    # Off in this installation, whatever the request says.
    "disabled": "allowed_providers",
    "no_price": "max_price",
    "service_tier": "allowed_providers",
}
# The prompt's tokens are estimated as bytes / 4: half as much again leaves room for what that gets wrong.
ESTIMATE_MARGIN = 1.5
MOST_NANO = 1e18


class RequestProfile(NamedTuple):
    """Hold what a plan depends on besides preferences. ``Planner`` makes it coarse before it is part of a cache key.

    ``prompt_tokens`` is an estimate; ``max_tokens`` what the client allows, or ``None``, and ``planned_limit`` the same
    rounded up to a power of two, which is all that strategies see of it; ``hour`` of the week in UTC; ``client_region``
    where the client is, where that is known; ``service_tier`` the one that is asked for; ``modality`` of what comes
    with the text: text | image | audio | file.
    """

    prompt_tokens: int
    max_tokens: int | None
    parameters: tuple[str, ...]
    stream: bool
    tools: bool
    hour: int
    client_region: str | None = None
    service_tier: str | None = None
    modality: str = "text"
    planned_limit: int | None = None


def profile_of(head: Head, body_bytes: int, hour: int, client_region: str | None = None) -> RequestProfile:
    """Return what a plan depends on of a request; ``hour`` of the week in UTC, 0 to 167."""
    return RequestProfile(
        head.prompt_tokens(body_bytes),
        head.completion_limit,
        tuple(head.names),
        head.stream,
        head.tool_count > 0,
        hour,
        client_region,
        head.service_tier,
        head.modality,
        planned_limit(head.completion_limit),
    )


class EligibilityRule(NamedTuple):
    """A hard filter: ``reason`` is what the log says of an endpoint that does not pass."""

    reason: str
    passes: Callable[[Endpoint], bool]


class FilteredEndpoints(NamedTuple):
    eligible: list[Endpoint]
    excluded: list[tuple[Endpoint, str]]


def blended(price: Price) -> int:
    """nano-USD per million tokens at three prompt tokens to one completion token, the common chat mix."""
    return (3 * price.prompt + price.completion) // 4


def reference_reason(reason: str) -> str:
    """The reference's code for a reason of ours."""
    return "require_parameters" if reason.startswith("unsupported:") else EXCLUDED_BY[reason]


def filter_endpoints(
    endpoints: Sequence[Endpoint], preferences: Preferences, profile: RequestProfile
) -> FilteredEndpoints:
    """Split ``endpoints`` by the hard preferences, then by the parameters that some but not all support."""
    filters = tuple(rules(preferences, profile))
    eligible: list[Endpoint] = []
    excluded: list[tuple[Endpoint, str]] = []
    for endpoint in endpoints:
        if not endpoint.enabled or endpoint.price is None:
            excluded.append((endpoint, "disabled" if not endpoint.enabled else "no_price"))
            continue
        for reason, passes in filters:
            if not passes(endpoint):
                excluded.append((endpoint, reason))
                break
        else:
            eligible.append(endpoint)
    for name in SOFT_PARAMETERS:
        if name in profile.parameters:
            able = [e for e in eligible if name in e.supported_parameters]
            if able and len(able) < len(eligible):
                excluded += [(e, f"unsupported:{name}") for e in eligible if name not in e.supported_parameters]
                eligible = able
    return FilteredEndpoints(eligible, excluded)


def rules(preferences: Preferences, profile: RequestProfile) -> Iterator[EligibilityRule]:
    """The hard filters that this request sets, privacy first: the first that fails is the reason logged."""
    yield from privacy_rules(preferences)
    if preferences.only:
        only = preferences.only
        yield EligibilityRule("allowed_providers", lambda e: is_named_by(e, only))
    if preferences.order and preferences.allow_fallbacks is False:
        order = preferences.order
        yield EligibilityRule("ordered_providers", lambda e: is_named_by(e, order))
    if preferences.ignore:
        ignore = preferences.ignore
        yield EligibilityRule("ignored_providers", lambda e: not is_named_by(e, ignore))
    if preferences.quantizations:
        accepted = {q for name in preferences.quantizations for q in QUANTIZATION_FAMILIES.get(name, (name,))}
        yield EligibilityRule("quantization", lambda e: e.quantization in accepted)
    if preferences.min_quantization:
        bits = QUANTIZATION_BITS[preferences.min_quantization]
        yield EligibilityRule("min_quantization", lambda e: QUANTIZATION_BITS.get(e.quantization, 0) >= bits)
    if preferences.is_moderated is not None:
        # By the mark that the catalogue shows: unknown has none.
        marked = preferences.is_moderated
        yield EligibilityRule("not_moderated" if marked else "moderated", lambda e: bool(e.moderated) is marked)
    if preferences.max_price is not None:
        limit = preferences.max_price
        yield EligibilityRule("max_price", lambda e: not parts_over_limit(e, limit))
    if preferences.require_parameters:
        needed = frozenset(profile.parameters) - NEVER_REQUIRED
        yield EligibilityRule("require_parameters", lambda e: needed <= e.supported_parameters)
    least = profile.prompt_tokens / ESTIMATE_MARGIN
    yield EligibilityRule("context_length", lambda e: e.context_length >= least or not e.context_length)
    if profile.max_tokens:
        most = profile.max_tokens
        yield EligibilityRule(
            "max_tokens", lambda e: e.max_completion_tokens is None or most <= e.max_completion_tokens
        )


def privacy_rules(preferences: Preferences) -> Iterator[EligibilityRule]:
    """Whatever is not known of an endpoint counts against it.

    ``data_collection: deny`` asks that nothing is trained on, ``zdr`` that nothing is kept.
    """
    regions = preferences.regions
    if regions is not None:
        yield EligibilityRule("data_region", lambda e: within(places(e), regions))
    if preferences.data_collection == "deny":
        yield EligibilityRule("data_policy:training", lambda e: e.data_policy.trains is False)
    if preferences.zdr:
        yield EligibilityRule("data_policy:zdr", lambda e: e.data_policy.retains is False)
    if preferences.enforce_distillable_text:
        yield EligibilityRule("distillation", lambda e: e.distillable)


def places(endpoint: Endpoint) -> tuple[str, ...]:
    """Everywhere that the endpoint may process a request; empty where that is not known."""
    if endpoint.region is not None:
        return (endpoint.region,)
    return tuple(country.lower() for country in endpoint.datacenters)


def parts_over_limit(endpoint: Endpoint, limit: MaxPrice) -> tuple[str, ...]:
    """The parts of ``limit`` that the endpoint's list price exceeds.

    No offer of the catalogue charges per request, image or audio second: those parts are never exceeded.
    """
    price = endpoint.price
    if price is None:
        return ("prompt",)
    pairs = (("prompt", price.prompt, limit.prompt), ("completion", price.completion, limit.completion))
    return tuple(name for name, nano, most in pairs if most is not None and nano > _nano(most))


def is_named_by(endpoint: Endpoint, slugs: tuple[str, ...]) -> bool:
    """Whether any of ``slugs`` means this endpoint."""
    return any(slug_matches(slug, endpoint.tag, endpoint.provider_name) for slug in slugs)


def _nano(usd_per_million: float | str) -> int:
    return round(min(float(usd_per_million) * 1e9, MOST_NANO))
