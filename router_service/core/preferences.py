"""Parse the ``provider`` object of a request: the client's routing preferences."""

from __future__ import annotations

import msgspec

from router_service.core.errors import ApiError
from router_service.core.request_bounds import MAX_NAME_CHARACTERS

SORTS = ("price", "throughput", "latency", "exacto")
PARTITIONS = ("model", "none")
STRATEGIES = ("price", "adjusted", "exacto", "learned")
WEIGHT_FIELDS = ("usd_per_second", "usd_per_failure")
MAX_WEIGHT_USD = 1000.0
MAX_LIST_ENTRIES = 256
LISTS = ("order", "only", "ignore", "quantizations", "region")
# Bits of one model weight. ``unknown`` has 0 bits, so that it satisfies no minimum.
QUANTIZATION_BITS = {
    "int4": 4, "fp4": 4, "mxfp4": 4, "nvfp4": 4, "fp6": 6, "int8": 8, "fp8": 8, "mxfp8": 8,
    "fp16": 16, "bf16": 16, "fp32": 32, "unknown": 0,
}  # fmt: skip
SERVICE_TIERS = frozenset({"priority", "flex", "ultrafast"})
# The error message of a wrong field quotes what it must be.
EXPECTED_VALUES = {
    "order": "an array of provider slugs",
    "only": "an array of provider slugs",
    "ignore": "an array of provider slugs",
    "allow_fallbacks": "true or false",
    "require_parameters": "true or false",
    "data_collection": "'allow' or 'deny'",
    "zdr": "true or false",
    "enforce_distillable_text": "true or false",
    "quantizations": f"an array of {', '.join(QUANTIZATION_BITS)}",
    "min_quantization": f"one of {', '.join(q for q in QUANTIZATION_BITS if q != 'unknown')}",
    "sort": f"one of {', '.join(SORTS)}, or an object with 'by' and 'partition'",
    "max_price": "an object of USD amounts: prompt and completion per million tokens, request, image and audio each",
    "preferred_min_throughput": "a number of tokens per second above 0, or an object with p50, p75, p90, p99",
    "preferred_max_latency": "a number of seconds above 0, or an object with p50, p75, p90, p99",
    "region": "a region such as 'eu', 'us' or 'de', or an array of them",
    "ttft_timeout": "a number of seconds above 0",
    "stall_timeout": "a number of seconds above 0",
    "is_moderated": "true or false",
    "strategy": f"one of {', '.join(STRATEGIES)}",
    "hedge": "true or false",
    "usd_per_second": "a number of USD from 0 to 1000",
    "usd_per_failure": "a number of USD from 0 to 1000",
}


class Sort(msgspec.Struct, frozen=True):
    """Hold the sort criterion; ``partition`` "none" orders the endpoints of all requested models together."""

    by: str | None = None
    partition: str | None = "model"


class MaxPrice(msgspec.Struct, frozen=True):
    """Limit prices in USD: ``prompt`` and ``completion`` per million tokens, the other fields per unit.

    Decimal strings are accepted.
    """

    prompt: float | str | None = None
    completion: float | str | None = None
    request: float | str | None = None
    image: float | str | None = None
    audio: float | str | None = None


class Percentiles(msgspec.Struct, frozen=True):
    """Hold limits on, or measurements of, a rolling window. Throughput is read worst-case: its p99 is the lowest."""

    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p99: float | None = None


class Preferences(msgspec.Struct, frozen=True, cache_hash=True):
    """Hold the reference's fields and nine fields of Portolan. Unknown fields are accepted and ignored.

    Portolan's fields are ``is_moderated``, ``min_quantization``, ``region`` (any of several is enough),
    ``ttft_timeout`` and ``stall_timeout`` in seconds, ``strategy``, ``usd_per_second`` and ``usd_per_failure``, which
    are the cost in USD of a second of latency and of a failed attempt, and ``hedge``. A request can refuse hedging but
    cannot demand it.
    """

    order: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    allow_fallbacks: bool | None = True
    require_parameters: bool | None = False
    data_collection: str | None = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    sort: str | Sort | None = None
    max_price: MaxPrice | None = None
    quantizations: tuple[str, ...] | None = None
    min_quantization: str | None = None
    preferred_min_throughput: float | Percentiles | None = None
    preferred_max_latency: float | Percentiles | None = None
    region: str | tuple[str, ...] | None = None
    ttft_timeout: float | None = None
    stall_timeout: float | None = None
    strategy: str | None = None
    is_moderated: bool | None = None
    hedge: bool | None = None
    usd_per_second: float | None = None
    usd_per_failure: float | None = None

    @property
    def sort_by(self) -> str | None:
        """Return the sort criterion, or ``None``."""
        return self.sort.by if isinstance(self.sort, Sort) else self.sort

    @property
    def regions(self) -> tuple[str, ...] | None:
        """Return the accepted regions in lower case; ``None`` accepts any region and ``()`` accepts none."""
        if self.region is None:
            return None
        return tuple(name.lower() for name in ((self.region,) if isinstance(self.region, str) else self.region))

    @property
    def pooled(self) -> bool:
        """Return whether the endpoints of all requested models form one pool."""
        return isinstance(self.sort, Sort) and self.sort.partition == "none"


NO_PREFERENCES = Preferences()


def parse_preferences(raw: bytes) -> Preferences:
    """Parse preferences from the JSON ``raw``. Raises ``ApiError`` 400 naming the field that is wrong."""
    try:
        preferences = msgspec.json.decode(raw, type=Preferences)
    except msgspec.ValidationError as error:
        raise _validation_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError("invalid_request", f"provider is not valid JSON: {error}") from None
    for name in LISTS:
        _check_list(name, getattr(preferences, name))
    for name, value, choices in (
        ("sort", preferences.sort_by, SORTS),
        ("sort.partition", preferences.sort.partition if isinstance(preferences.sort, Sort) else None, PARTITIONS),
        ("data_collection", preferences.data_collection, ("allow", "deny")),
        ("min_quantization", preferences.min_quantization, tuple(QUANTIZATION_BITS)[:-1]),
        ("strategy", preferences.strategy, STRATEGIES),
        *(("quantizations", name, tuple(QUANTIZATION_BITS)) for name in preferences.quantizations or ()),
    ):
        if value is not None and value not in choices:
            got = repr(value[:MAX_NAME_CHARACTERS])
            raise ApiError("invalid_request", f"provider.{name} must be one of {', '.join(choices)}; got {got}")
    # A reader that tests for truth would take an empty name for no restriction.
    if preferences.regions is not None and not all(preferences.regions or ("",)):
        raise ApiError(
            "invalid_request", f"provider.region must be {EXPECTED_VALUES['region']}; leave it out for everywhere"
        )
    for name in ("ttft_timeout", "stall_timeout", "preferred_min_throughput", "preferred_max_latency"):
        _check_positive(name, getattr(preferences, name))
    for name in WEIGHT_FIELDS:
        _check_weight(name, getattr(preferences, name))
    if preferences.max_price is not None:
        for name in MaxPrice.__struct_fields__:
            _check_amount(name, getattr(preferences.max_price, name))
    return preferences


def slug_matches(slug: str, tag: str, name: str) -> bool:
    """Return whether a request's ``slug`` names the endpoint ``tag``, its base slug, or its provider's display
    ``name``.

    An endpoint of a service tier (``openai/priority``) matches its full slug only.
    """
    wanted = slug.lower()
    if wanted == tag:
        return True
    base, _, suffix = tag.partition("/")
    return suffix not in SERVICE_TIERS and (wanted == base or wanted == name.lower())


def _validation_error(message: str) -> ApiError:
    problem, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    name = field.split(".")[0].split("[")[0]
    if name not in EXPECTED_VALUES:
        return ApiError("invalid_request", f"provider must be an object: {problem}")
    return ApiError(
        "invalid_request", f"provider.{name} must be {EXPECTED_VALUES[name]}: {problem} at provider.{field}"
    )


def _check_list(name: str, value: str | tuple[str, ...] | None) -> None:
    """Raise ``ApiError`` for more entries than there are providers, or one that is longer than any name."""
    entries = (value,) if isinstance(value, str) else value or ()
    if len(entries) > MAX_LIST_ENTRIES:
        raise ApiError("invalid_request", f"provider.{name} takes at most {MAX_LIST_ENTRIES} entries; send fewer")
    if any(len(entry) > MAX_NAME_CHARACTERS for entry in entries):
        raise ApiError(
            "invalid_request", f"An entry of provider.{name} must have at most {MAX_NAME_CHARACTERS} characters"
        )


def _check_positive(name: str, value: float | Percentiles | None) -> None:
    values = [getattr(value, p) for p in value.__struct_fields__] if isinstance(value, Percentiles) else [value]
    # JSON has no infinity, but a literal such as 1e999 is decoded as one.
    if any(v is not None and not 0 < v < float("inf") for v in values):
        raise ApiError("invalid_request", f"provider.{name} must be {EXPECTED_VALUES[name]}")


def _check_weight(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= MAX_WEIGHT_USD:
        raise ApiError("invalid_request", f"provider.{name} must be {EXPECTED_VALUES[name]}")


def _check_amount(name: str, value: float | str | None) -> None:
    try:
        fine = value is None or 0 <= float(value) < float("inf")
    except ValueError:
        fine = False
    if not fine:
        raise ApiError("invalid_request", f"provider.max_price.{name} must be a number of USD, at least 0")
