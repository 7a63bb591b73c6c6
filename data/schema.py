"""The request record: one row per request, written once. The one schema that all rooms share.

Units: ``*_us`` microseconds, ``*_nano`` nano-USD (1e-9 USD), ``*_tokens`` native tokens of the provider.
A duration that did not happen is null, never 0: zeros would poison every percentile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

SCHEMA_VERSION = 1

CANDIDATE = pa.struct(
    [
        ("endpoint", pa.string()),
        ("probability", pa.float64()),  # chance of being tried first; 0 for the excluded
        ("score", pa.float64()),  # USD per million tokens: list price, or adjusted price for adjusted shares
        ("excluded_by", pa.string()),  # reason code, null when eligible
    ]
)
ARM = pa.struct(
    [
        ("policy", pa.string()),
        ("version", pa.string()),
        ("weight", pa.float64()),  # part of the draws that are this arm's; arms share [0,1) in this order
        # upper edges of the candidates' parts of [0,1) within the arm, in their order; none for the excluded
        ("cumulative", pa.list_(pa.float64())),
    ]
)
ATTEMPT = pa.struct(
    [
        ("endpoint", pa.string()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("status", pa.int32()),  # HTTP status, null when no answer came
        # typed error code of the reference, null on success; "cancelled" of the one of two calls that lost;
        # "client_deadline" of one given up by a ttft_timeout or stall_timeout of the request or its key that was
        # shorter than the router's own deadline: it says nothing of the endpoint
        ("error_type", pa.string()),
        # why this attempt: "sampled" | "fallback:<error_type of the one before>" | "fallback:probed", when the one
        # before recovers and another request was probing it | "retry:stale_connection", the same endpoint again
        # | "hedge:slow_first_token", beside the one before, which was late
        ("reason", pa.string()),
        ("started_us", pa.int64()),  # since the request's arrival
        ("ttft_us", pa.int64()),  # request sent to first content byte; null unless one came
        # until its end; of a complete stream until the provider's last bytes, null where these may have had to wait for
        # a client that read slowly
        ("duration_us", pa.int64()),
    ]
)

ATTEMPTS = (
    "each call made upstream, in order; its error_type is null on success, cancelled where the other of two calls won, "
    "client_deadline where the request or its key had less patience than the router, else the error's code"
)
# name, type, nullable, meaning and source (see docs/record.md, which is made from this table)
COLUMNS: tuple[tuple[str, pa.DataType, bool, str], ...] = (
    ("schema_version", pa.int32(), False, "version of this table"),
    ("generation_id", pa.string(), False, "gen-…, the X-Generation-Id header; unique"),
    ("started_at", pa.timestamp("us", tz="UTC"), False, "arrival of the request, UTC"),
    ("worker", pa.string(), False, "router process that served it"),
    ("key_hash", pa.string(), True, "SHA-256 of the API key, lowercase hex"),
    ("app", pa.string(), True, "HTTP-Referer of the client, its app identity"),
    ("app_title", pa.string(), True, "X-OpenRouter-Title or X-Title"),
    ("session_id", pa.string(), True, "body session_id, else x-session-id"),
    ("trace_id", pa.string(), True, "body trace.trace_id"),
    ("api_type", pa.string(), False, "chat"),
    ("requested_model", pa.string(), False, "as the client wrote it"),
    ("model", pa.string(), True, "canonical model that served (gen_ai.response.model), else the first that was tried"),
    ("author", pa.string(), True, "author part of model"),
    ("stream", pa.bool_(), False, "the client asked for a stream"),
    ("tools", pa.int32(), False, "number of tools offered"),
    ("parameters", pa.list_(pa.string()), False, "names of the body's fields, sorted; never values"),
    ("body_bytes", pa.int64(), False, "size of the request body"),
    ("estimated_prompt_tokens", pa.int64(), False, "body_bytes / 4, what routing believed beforehand"),
    ("max_tokens", pa.int64(), True, "max_completion_tokens, else max_tokens"),
    ("modality", pa.string(), True, "what comes with the text: text | image | audio | file; null in older ones"),
    ("policy", pa.string(), True, "strategy: price | adjusted | exacto | learned | wished | sort | order | sticky"),
    ("policy_version", pa.string(), True, "version of the learned policy, else of the rule"),
    ("held_tokens", pa.int64(), True, "tokens believed in the prompt cache of whom policy sticky keeps to; else null"),
    ("catalogue_version", pa.string(), True, "hash of the catalogue snapshot"),
    ("health_epoch", pa.int64(), True, "health snapshot that the plan was made from"),
    ("draw", pa.float64(), True, "random number in [0,1) that sampled the plan"),
    ("client_region", pa.string(), True, "where the client is, by header, key or address; null where not known"),
    ("data_region", pa.string(), True, "regions that the request was kept to, joined by +; null for none"),
    ("propensity", pa.float64(), True, "probability with which the first endpoint was chosen"),
    ("candidates", pa.list_(CANDIDATE), False, "the plan: probability, score, exclusion of each endpoint"),
    ("arms", pa.list_(ARM), True, "what the draw is looked up in; null in records older than this column"),
    ("attempts", pa.list_(ATTEMPT), False, ATTEMPTS),
    (
        "endpoint",
        pa.string(),
        True,
        "endpoint that served, id provider:upstream_model, then @ and its service tier if any",
    ),
    ("provider", pa.string(), True, "provider that served (gen_ai.provider.name)"),
    ("upstream_id", pa.string(), True, "id given by the provider"),
    (
        "service_tier",
        pa.string(),
        True,
        "that the provider says it served, and that is paid: default | priority | flex",
    ),
    ("status", pa.int32(), False, "HTTP status that the client got; 499 when it left first"),
    ("error_type", pa.string(), True, "typed error code, null on success; mid-stream errors too"),
    ("finish_reason", pa.string(), True, "normalised: stop | length | tool_calls | content_filter | error"),
    ("native_finish_reason", pa.string(), True, "as the provider wrote it"),
    ("tool_calls", pa.int32(), True, "calls in an answer that ended with tool calls; null for all others"),
    ("tool_call_fault", pa.string(), True, "of the first malformed one: invalid_json | unknown_name | schema_mismatch"),
    ("cancelled", pa.bool_(), False, "the client disconnected before the end"),
    ("prompt_tokens", pa.int64(), True, "gen_ai.usage.input_tokens, cached ones included"),
    ("completion_tokens", pa.int64(), True, "gen_ai.usage.output_tokens, reasoning included"),
    ("cached_tokens", pa.int64(), True, "gen_ai.usage.cache_read.input_tokens"),
    ("cache_write_tokens", pa.int64(), True, "tokens written to the provider's prompt cache"),
    ("reasoning_tokens", pa.int64(), True, "gen_ai.usage.reasoning.output_tokens"),
    ("cost_nano", pa.int64(), False, "sum of the three parts, nano-USD"),
    ("cost_prompt_nano", pa.int64(), False, "uncached prompt and cache writes"),
    ("cost_cached_nano", pa.int64(), False, "cache reads"),
    ("cost_completion_nano", pa.int64(), False, "completion"),
    ("hedge_cost_nano", pa.int64(), True, "what the losing call of two may cost the operator, estimated; not billed"),
    ("ttft_us", pa.int64(), True, "arrival to first content byte sent to the client; null without one"),
    ("duration_us", pa.int64(), False, "arrival to last byte"),
    ("overhead_us", pa.int64(), True, "duration less the time spent waiting for providers"),
    ("category", pa.string(), True, "one of the twelve categories, on the sampled share"),
    ("category_confidence", pa.float64(), True, "the classifier's probability for it, [0,1]"),
)

RECORD_SCHEMA = pa.schema(
    [pa.field(name, kind, nullable, metadata={"doc": doc}) for name, kind, nullable, doc in COLUMNS]
)


# ``reason`` of a second call to an endpoint whose kept connection had been ended.
STALE = "retry:stale_connection"
# ``reason`` of a call beside one that was late, and ``error_type`` of the one of the two that was cut for the other.
HEDGE = "hedge:slow_first_token"
LOST = "cancelled"
# ``error_type`` of a call given up sooner than the router would have: the client's wish, no failure of the endpoint.
CLIENT_DEADLINE = "client_deadline"


class Attempt(msgspec.Struct):
    """One call upstream; fields as in ``ATTEMPT``."""

    endpoint: str
    provider: str
    model: str
    status: int | None = None
    error_type: str | None = None
    reason: str = "sampled"
    started_us: int = 0
    ttft_us: int | None = None
    duration_us: int | None = None


class Record(msgspec.Struct):
    """A record on its way to the log: fields as in ``COLUMNS``; ``started_at`` is Unix microseconds.

    ``candidates`` and ``arms`` are msgpack, encoded once per plan and not once per request.
    """

    generation_id: str
    started_at: int
    worker: str
    requested_model: str
    stream: bool
    status: int
    duration_us: int
    schema_version: int = SCHEMA_VERSION
    api_type: str = "chat"
    key_hash: str | None = None
    app: str | None = None
    app_title: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    model: str | None = None
    author: str | None = None
    tools: int = 0
    parameters: list[str] = []
    body_bytes: int = 0
    estimated_prompt_tokens: int = 0
    max_tokens: int | None = None
    modality: str | None = None
    policy: str | None = None
    policy_version: str | None = None
    held_tokens: int | None = None
    catalogue_version: str | None = None
    health_epoch: int | None = None
    draw: float | None = None
    client_region: str | None = None
    data_region: str | None = None
    propensity: float | None = None
    candidates: msgspec.Raw = msgspec.Raw(b"\x90")
    arms: msgspec.Raw = msgspec.Raw(b"\xc0")
    attempts: list[Attempt] = []
    endpoint: str | None = None
    provider: str | None = None
    upstream_id: str | None = None
    service_tier: str | None = None
    error_type: str | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    tool_calls: int | None = None
    tool_call_fault: str | None = None
    cancelled: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nano: int = 0
    cost_prompt_nano: int = 0
    cost_cached_nano: int = 0
    cost_completion_nano: int = 0
    hedge_cost_nano: int | None = None
    ttft_us: int | None = None
    overhead_us: int | None = None
    category: str | None = None
    category_confidence: float | None = None


encode_record: Callable[[Record], bytes] = msgspec.msgpack.Encoder().encode


_record = msgspec.msgpack.Decoder(Record)
_of_plan = msgspec.msgpack.Decoder(list[dict[str, Any]] | None)
_values = attrgetter(*RECORD_SCHEMA.names)
_attempt_values = attrgetter(*(field.name for field in ATTEMPT))


def to_table(payloads: Sequence[bytes]) -> pa.Table:
    """Log payloads (msgpack of ``Record``) as a table of ``RECORD_SCHEMA``.

    Raises ``msgspec.DecodeError`` or ``pa.ArrowException`` on a payload that is not a record.
    """
    columns = zip(*(_values(_record.decode(payload)) for payload in payloads), strict=True)
    arrays = [_ENCODED.get(field.name, _plain)(list(column), field.type) for field, column in _fields(columns)]
    return pa.Table.from_arrays(arrays, schema=RECORD_SCHEMA)


def _fields(columns: Iterable[tuple[Any, ...]]) -> Iterable[tuple[pa.Field, tuple[Any, ...]]]:
    return zip(RECORD_SCHEMA, tuple(columns) or ((),) * len(RECORD_SCHEMA), strict=True)


def _plain(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)


def _plans_array(values: list[msgspec.Raw], kind: pa.DataType) -> pa.Array:
    """Many records share one plan: each is decoded once."""
    places: dict[bytes, int] = {}
    indices = [places.setdefault(bytes(raw), len(places)) for raw in values]
    return pa.array([_of_plan.decode(raw) for raw in places], kind).take(pa.array(indices, pa.int64()))


def _attempts_array(values: list[list[Attempt]], kind: pa.DataType) -> pa.Array:
    offsets = pa.array(accumulate((len(attempts) for attempts in values), initial=0), pa.int32())
    flat = [attempt for attempts in values for attempt in attempts]
    values_of = zip(*map(_attempt_values, flat), strict=True) if flat else [()] * len(ATTEMPT)
    columns = [pa.array(column, field.type) for field, column in zip(ATTEMPT, values_of, strict=True)]
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, fields=list(ATTEMPT)), type=kind)


_ENCODED: dict[str, Callable[[list[Any], pa.DataType], pa.Array]] = {
    "candidates": _plans_array,
    "arms": _plans_array,
    "attempts": _attempts_array,
}
