"""Decide which endpoints may serve a request, and give the reason for each that may not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from data.catalogue.geography import within
from data.catalogue.price import Price, price_in_force
from data.catalogue.types import Endpoint, Task
from models.selection.decision.features import planned_limit
from router_service.core.preferences import QUANTIZATION_BITS, MaxPrice, Preferences, slug_matches
from router_service.core.request import Head

QUANTIZATION_FAMILIES = {"fp4": ("fp4", "mxfp4", "nvfp4"), "fp8": ("fp8", "mxfp8")}
# These parameters restrict the choice in this order, each only while some endpoint supports it.
SOFT_PARAMETERS = ("tools", "response_format", "verbosity", "dimensions")
# These fields of the body do not depend on an endpoint's capabilities.
NEVER_REQUIRED = frozenset(
    {"model", "models", "messages", "prompt", "stream", "stream_options", "provider", "usage", "user"}
    | {"metadata", "trace", "session_id", "plugins", "route", "transforms", "debug", "preset"}
    | {"service_tier", "speed", "prompt_cache_key", "cache_control", "store"}
    | {"input", "encoding_format", "query", "documents", "top_n", "size", "input_references"}
)
# The only format with several choices; catalogues do not list ``n`` among the parameters of an endpoint.
FORMAT_OF_CHOICES = "openai_chat"
# Our reasons map to the reference's ``excluded_by``; ``unsupported:<parameter>`` maps to ``require_parameters``.
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
    # These two depend on the installation and the catalogue, not on the request.
    "disabled": "allowed_providers",
    "no_price": "max_price",
    "service_tier": "allowed_providers",
}
# The prompt's tokens are estimated as bytes / 4, which may be too high by half.
ESTIMATE_MARGIN = 1.5
MAX_NANO = 1e18


class RequestProfile(NamedTuple):
    """Hold the inputs of a plan besides preferences. ``Planner`` coarsens it before it becomes part of a cache key.

    ``prompt_tokens`` is an estimate. ``max_tokens`` is the client's limit on the completion, or ``None``;
    ``planned_limit`` is the same limit rounded up to a power of two, for the strategies. ``hour`` is the hour of the
    week in UTC, 0 to 167. ``client_region`` is ``None`` if it is not known. ``service_tier`` is the requested one.
    ``modality`` is text, image, audio or file. ``priced_tokens`` are prompt tokens at which the same prices hold as at
    the estimate, or ``None`` for the estimate itself. ``task`` is what the request asks for.
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
    task: Task = "chat"
    priced_tokens: int | None = None

    def price_of(self, price: Price) -> Price:
        """Return ``price`` as it is for a prompt of the estimated length, at the beginning of the hour."""
        if price.meters is None:
            return price
        tokens = self.prompt_tokens if self.priced_tokens is None else self.priced_tokens
        return price_in_force(price, tokens, 60 * self.hour)


def profile_of(
    head: Head, body_bytes: int, hour: int, client_region: str | None = None, task: Task = "chat"
) -> RequestProfile:
    """Return the profile of a request with a body of ``body_bytes`` bytes; ``hour`` of the week in UTC, 0 to 167."""
    return RequestProfile(
        head.prompt_tokens(body_bytes),
        head.completion_limit,
        tuple(head.names) if not head.own_fields and "n" not in head.fields else _parameters(head),
        head.stream,
        head.tool_count > 0,
        hour,
        client_region,
        head.service_tier,
        head.modality,
        planned_limit(head.completion_limit),
        task,
    )


def _parameters(head: Head) -> tuple[str, ...]:
    """Return the names of the parameters; those that only one dialect has follow its name and a colon."""
    if head.own_fields:
        return tuple(f"{head.own_dialect}:{name}" if name in head.own_fields else name for name in head.names)
    # One choice is what every endpoint gives.
    one_choice = bytes(head.fields["n"]) in (b"1", b"null")
    return tuple(name for name in head.names if name != "n" or not one_choice)


def missing_parameters(names: Iterable[str], endpoint: Endpoint) -> list[str]:
    """Return those of the request's parameters that do not reach the model at ``endpoint``, sorted.

    A field that only one dialect has reaches every endpoint of that wire format, and no other.
    """
    missing = frozenset(names) - NEVER_REQUIRED - endpoint.supported_parameters
    if endpoint.wire_format == FORMAT_OF_CHOICES:
        missing -= {"n"}
    own = f"{endpoint.wire_format}:"
    return sorted(name.rpartition(":")[2] for name in missing if not name.startswith(own))


class EligibilityRule(NamedTuple):
    """Pair a hard filter with the ``reason`` that the log gives for an endpoint that fails it."""

    reason: str
    passes: Callable[[Endpoint], bool]


class FilteredEndpoints(NamedTuple):
    """Split endpoints into eligible ones and excluded ones, each of these with its reason."""

    eligible: list[Endpoint]
    excluded: list[tuple[Endpoint, str]]


def blended_price(price: Price) -> int:
    """Return nano-USD per million tokens at three prompt tokens to one completion token, the common chat mix.

    A search unit counts as 50,000 tokens: 100 documents of at most 500 tokens. Source: Cohere docs, pricing (2026-11).
    An image counts as 4,000 tokens. Source: OpenAI docs, "Image generation", high quality (2026-11).
    """
    if price.meters is not None and price.meters.search_unit is not None:
        return 20 * price.meters.search_unit
    if price.meters is not None and price.meters.output_image is not None:
        return 250 * price.meters.output_image
    return (3 * price.prompt + price.completion) // 4


def reference_reason(reason: str) -> str:
    """Return the reference's code for our ``reason``."""
    return "require_parameters" if reason.startswith("unsupported:") else EXCLUDED_BY[reason]


def filter_endpoints(
    endpoints: Sequence[Endpoint], preferences: Preferences, profile: RequestProfile
) -> FilteredEndpoints:
    """Split ``endpoints`` by the hard preferences, then by the parameters that only some of them support."""
    filters = tuple(eligibility_rules(preferences, profile))
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
    if profile.max_tokens:
        long_enough = [e for e in eligible if writes(e, profile.max_tokens)]
        if long_enough and len(long_enough) < len(eligible):
            excluded += [(e, "max_tokens") for e in eligible if not writes(e, profile.max_tokens)]
            eligible = long_enough
    return FilteredEndpoints(eligible, excluded)


def eligibility_rules(preferences: Preferences, profile: RequestProfile) -> Iterator[EligibilityRule]:
    """Yield the hard filters that this request sets, privacy first. The first one that fails is the logged reason."""
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
        # An endpoint whose moderation is unknown counts as not moderated, as the catalogue shows it.
        marked = preferences.is_moderated
        yield EligibilityRule("not_moderated" if marked else "moderated", lambda e: bool(e.moderated) is marked)
    if preferences.max_price is not None:
        limit = preferences.max_price
        yield EligibilityRule("max_price", lambda e: not parts_over_limit(e, limit))
    if preferences.require_parameters:
        needed = profile.parameters
        yield EligibilityRule("require_parameters", lambda e: not missing_parameters(needed, e))
    prompt_tokens = profile.prompt_tokens / ESTIMATE_MARGIN
    yield EligibilityRule("context_length", lambda e: e.context_length >= prompt_tokens or not e.context_length)
    if profile.max_tokens and preferences.require_parameters:
        max_tokens = profile.max_tokens
        yield EligibilityRule("max_tokens", lambda e: writes(e, max_tokens))


def writes(endpoint: Endpoint, max_tokens: int) -> bool:
    """Return whether the endpoint can write ``max_tokens`` tokens.

    Agents ask for more than some models can write. Where none of the endpoints can, the wire format sends what the
    endpoint has and reports it.
    """
    return endpoint.max_completion_tokens is None or max_tokens <= endpoint.max_completion_tokens


def privacy_rules(preferences: Preferences) -> Iterator[EligibilityRule]:
    """Yield the filters on data. An unknown property of an endpoint counts as a violation.

    ``data_collection: deny`` excludes training on the data, ``zdr`` excludes any retention.
    """
    regions = preferences.regions
    if regions is not None:
        yield EligibilityRule("data_region", lambda e: within(processing_locations(e), regions))
    if preferences.data_collection == "deny":
        yield EligibilityRule("data_policy:training", lambda e: e.data_policy.trains is False)
    if preferences.zdr:
        yield EligibilityRule("data_policy:zdr", lambda e: e.data_policy.retains is False)
    if preferences.enforce_distillable_text:
        yield EligibilityRule("distillation", lambda e: e.distillable)


def processing_locations(endpoint: Endpoint) -> tuple[str, ...]:
    """Return all locations in which the endpoint may process a request; empty if they are not known."""
    if endpoint.region is not None:
        return (endpoint.region,)
    return tuple(country.lower() for country in endpoint.datacenters)


def parts_over_limit(endpoint: Endpoint, limit: MaxPrice) -> tuple[str, ...]:
    """Return the parts of ``limit`` that the endpoint's list price exceeds."""
    if endpoint.price is None:
        return ("prompt",)
    pairs = ((part, nano, getattr(limit, part)) for part, nano in limited_prices(endpoint.price).items())
    return tuple(part for part, nano, allowed in pairs if allowed is not None and nano > _nano(allowed))


def limited_prices(price: Price) -> dict[str, int]:
    """Return the list price of short prompts in nano-USD, by the parts of a ``MaxPrice``.

    No offer of the catalogue charges per audio second, so that part is left out.
    """
    meters = price.meters
    fee = None if meters is None else meters.request if meters.search_unit is None else meters.search_unit
    image = None if meters is None else meters.output_image
    return {"prompt": price.prompt, "completion": price.completion, "request": fee or 0, "image": image or 0}


def is_named_by(endpoint: Endpoint, slugs: tuple[str, ...]) -> bool:
    """Return whether any of ``slugs`` names this endpoint."""
    return any(slug_matches(slug, endpoint.tag, endpoint.provider_name) for slug in slugs)


def _nano(usd: float | str) -> int:
    return round(min(float(usd) * 1e9, MAX_NANO))
