"""Declare the request record: one row per request, written once, never changed.

A new column is one field with a default and a ``Column``; ``since`` is the next ``RECORD_VERSION``. A default must
never change, because encoded records omit the fields that have it. A duration that did not happen is null, never 0:
a zero would distort every percentile. Prompts and completions are not recorded.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import pyarrow as pa

from data.record.attempt import Attempt
from data.record.charges import Charge
from data.record.columns import Column, Int32, Timestamp, arrow_schema, struct_type
from data.record.plan import ArmRow, CandidateRow

RECORD_VERSION = 2

# MessagePack of the rows, encoded once per plan and not once per request.
Candidates = Annotated[msgspec.Raw, pa.list_(struct_type(CandidateRow))]
Arms = Annotated[msgspec.Raw, pa.list_(struct_type(ArmRow))]
NO_CANDIDATES = msgspec.Raw(b"\x90")
NO_ARMS = msgspec.Raw(b"\xc0")


class Record(msgspec.Struct, omit_defaults=True):
    """Hold one record on its way to the log."""

    generation_id: Annotated[str, Column("gen-…, the X-Generation-Id header; unique")]
    started_at: Annotated[Timestamp, Column("Arrival of the request", "µs since 1970, UTC")]
    worker: Annotated[str, Column("Router process that served the request")]
    requested_model: Annotated[str, Column("Model as the client wrote it")]
    stream: Annotated[bool, Column("The client asked for a stream")]
    status: Annotated[Int32, Column("HTTP status sent to the client; 499 when it disconnected first")]
    duration_us: Annotated[int, Column("Arrival to last byte", "µs")]
    # A factory's value is never omitted, so that a record names its version wherever it is read.
    schema_version: Annotated[Int32, Column("Version of the record")] = msgspec.field(
        default_factory=lambda: RECORD_VERSION
    )
    task: Annotated[str, Column("Task of the request: chat | embeddings | rerank | images", since=2)] = "chat"
    skin: Annotated[
        str,
        Column("Client-facing API: chat | messages | responses | completions | embeddings | rerank | images", since=2),
    ] = "chat"
    wire_format: Annotated[
        str | None, Column("Wire format of the endpoint that served, such as openai_chat", since=2)
    ] = None
    api_type: Annotated[str, Column("Always chat; skin replaces it")] = "chat"
    workspace: Annotated[str | None, Column("Workspace of the API key; null for a key without one", since=2)] = None
    key_hash: Annotated[str | None, Column("SHA-256 of the API key, lowercase hexadecimal")] = None
    user_hash: Annotated[
        str | None,
        Column("BLAKE2b of the body's user, keyed with key_hash: equal users match within one key alone", since=2),
    ] = None
    app: Annotated[str | None, Column("HTTP-Referer header, which identifies the client's app")] = None
    app_title: Annotated[str | None, Column("X-OpenRouter-Title header, else X-Title")] = None
    user_agent: Annotated[str | None, Column("User-Agent header, at most 256 characters", since=2)] = None
    country: Annotated[
        str | None,
        Column("Country of the client, ISO 3166-1 alpha-2, where the client-region header names one", since=2),
    ] = None
    session_id: Annotated[str | None, Column("session_id of the body, else the x-session-id header")] = None
    trace_id: Annotated[str | None, Column("trace.trace_id of the body")] = None
    repeat_of: Annotated[
        str | None, Column("generation_id of the request that this one repeats; null when none is known", since=2)
    ] = None
    model: Annotated[
        str | None,
        Column("Canonical model that served (gen_ai.response.model), else the first model that was tried"),
    ] = None
    author: Annotated[str | None, Column("Author part of model")] = None
    tools: Annotated[Int32, Column("Number of tools offered")] = 0
    parameters: Annotated[list[str], Column("Names of the body's fields, sorted; never their values")] = []
    dropped_parameters: Annotated[
        list[str] | None,
        Column(
            "Parameters of the request that the endpoint's wire format could not carry; null when not known", since=2
        ),
    ] = None
    body_bytes: Annotated[int, Column("Size of the request body", "bytes")] = 0
    output_bytes: Annotated[int | None, Column("Size of the response body sent to the client", "bytes", since=2)] = None
    estimated_prompt_tokens: Annotated[int, Column("body_bytes / 4, the routing's estimate", "tokens")] = 0
    max_tokens: Annotated[int | None, Column("max_completion_tokens, else max_tokens", "tokens")] = None
    reasoning_effort: Annotated[
        str | None, Column("Reasoning effort asked for: reasoning.effort, else reasoning_effort", since=2)
    ] = None
    structured_output: Annotated[
        str | None, Column("response_format.type asked for, such as json_schema; null for text", since=2)
    ] = None
    structured_output_valid: Annotated[
        bool | None, Column("The output conforms to the format asked for; null when not checked", since=2)
    ] = None
    modality: Annotated[
        str | None, Column("First kind of medium in the messages: text | image | audio | file; null in older records")
    ] = None
    input_media: Annotated[
        list[str] | None, Column("Kinds of content in the request: text, image, audio, video, file", since=2)
    ] = None
    output_media: Annotated[
        list[str] | None, Column("Kinds of content in the response; null when not known", since=2)
    ] = None
    middleware: Annotated[
        list[str] | None, Column("Middleware that acted on the request, in order; null for none", since=2)
    ] = None
    response_cache: Annotated[
        str | None, Column("Result of the response cache: hit | miss; null when it was not asked", since=2)
    ] = None
    web_searches: Annotated[
        Int32 | None,
        Column("Web searches made for the request, or sources where these are counted; null when not known", since=2),
    ] = None
    policy: Annotated[
        str | None, Column("Strategy: price | adjusted | exacto | learned | wished | sort | order | sticky")
    ] = None
    policy_version: Annotated[str | None, Column("Version of the learned policy, else of the rule")] = None
    held_tokens: Annotated[
        int | None,
        Column("Prompt tokens expected in the prompt cache of the conversation's endpoint; null without one", "tokens"),
    ] = None
    catalogue_version: Annotated[str | None, Column("Hash of the catalogue snapshot")] = None
    health_epoch: Annotated[int | None, Column("Health snapshot that the plan was made from")] = None
    draw: Annotated[float | None, Column("Random number in [0, 1) that sampled the plan")] = None
    client_region: Annotated[
        str | None, Column("Region of the client by header, key or address; null when not known")
    ] = None
    data_region: Annotated[
        str | None, Column("Regions that the request was restricted to, joined by +; null for no restriction")
    ] = None
    propensity: Annotated[float | None, Column("Probability with which the first endpoint was chosen")] = None
    candidates: Annotated[Candidates, Column("Plan: probability, score and exclusion of each endpoint")] = NO_CANDIDATES
    arms: Annotated[
        Arms, Column("Mixture that the draw is looked up in; null in records older than this column", nullable=True)
    ] = NO_ARMS
    attempts: Annotated[list[Attempt], Column("Requests sent to providers, in order of their start")] = []
    endpoint: Annotated[
        str | None,
        Column("Endpoint that served, id provider:upstream_model, then @ and its service tier if any"),
    ] = None
    provider: Annotated[str | None, Column("Provider that served (gen_ai.provider.name)")] = None
    upstream_id: Annotated[str | None, Column("Id given by the provider")] = None
    service_tier: Annotated[
        str | None, Column("Tier that the provider says it served, and that is paid: default | priority | flex")
    ] = None
    error_type: Annotated[
        str | None, Column("Typed error code, null on success; set for an error in mid-stream too")
    ] = None
    finish_reason: Annotated[
        str | None, Column("Normalised finish reason: stop | length | tool_calls | content_filter | error")
    ] = None
    native_finish_reason: Annotated[str | None, Column("Finish reason as the provider wrote it")] = None
    tool_calls: Annotated[
        Int32 | None, Column("Tool calls in a response that ended with tool calls; null for all others")
    ] = None
    tool_call_fault: Annotated[
        str | None, Column("Fault of the first malformed tool call: invalid_json | unknown_name | schema_mismatch")
    ] = None
    cancelled: Annotated[bool, Column("The response did not reach its end: client gone or router stopped")] = False
    ended_by_client: Annotated[
        bool | None,
        Column("Cancelled because the client disconnected, not because the router stopped; null otherwise", since=2),
    ] = None
    cancellation_policy: Annotated[
        str | None,
        Column(
            "What the provider does when its caller disconnects: stops | bills_to_end | unknown; null unless a "
            "response was cancelled while a provider worked on it",
            since=2,
        ),
    ] = None
    received_tokens: Annotated[
        int | None,
        Column(
            "Tokens of a cancelled response that had come by then, four bytes each where the provider did not count; "
            "null as cancellation_policy is",
            "tokens",
            since=2,
        ),
    ] = None
    cost_estimated: Annotated[
        bool | None,
        Column(
            "Tokens and costs of a cancelled response are an estimate by that policy, not the provider's counts; null "
            "as cancellation_policy is",
            since=2,
        ),
    ] = None
    prompt_tokens: Annotated[int | None, Column("gen_ai.usage.input_tokens, cached ones included", "tokens")] = None
    completion_tokens: Annotated[int | None, Column("gen_ai.usage.output_tokens, reasoning included", "tokens")] = None
    cached_tokens: Annotated[int | None, Column("gen_ai.usage.cache_read.input_tokens", "tokens")] = None
    cache_write_tokens: Annotated[int | None, Column("Tokens written to the provider's prompt cache", "tokens")] = None
    reasoning_tokens: Annotated[int | None, Column("gen_ai.usage.reasoning.output_tokens", "tokens")] = None
    charges: Annotated[
        list[Charge] | None,
        Column("Price of each meter; they sum to cost_nano; null when nothing was metered", since=2),
    ] = None
    cost_nano: Annotated[int, Column("Sum of the four parts below, and of charges", "nano-USD")] = 0
    cost_prompt_nano: Annotated[int, Column("Charges of the prompt but input_cache_read", "nano-USD")] = 0
    cost_cached_nano: Annotated[int, Column("Charge input_cache_read", "nano-USD")] = 0
    cost_completion_nano: Annotated[int, Column("Charges of every kind of output", "nano-USD")] = 0
    cost_fees_nano: Annotated[int, Column("Charges request, web_search and total", "nano-USD", since=2)] = 0
    reported_cost_nano: Annotated[
        int | None,
        Column("Cost that the provider itself states, for comparison; null where it states none", "nano-USD", since=2),
    ] = None
    hedge_cost_nano: Annotated[
        int | None,
        Column("Estimated cost of the hedged request that lost; the operator pays it, the client does not", "nano-USD"),
    ] = None
    ttft_us: Annotated[
        int | None, Column("Arrival to first content byte sent to the client; null without one", "µs")
    ] = None
    overhead_us: Annotated[int | None, Column("duration_us less the time spent on providers' responses", "µs")] = None
    category: Annotated[
        str | None, Column("One of the twelve categories; null unless sampled, and where it is unknown: below 0.5")
    ] = None
    category_confidence: Annotated[float | None, Column("Probability of the likeliest category, in [0, 1]")] = None
    category_version: Annotated[
        str | None,
        Column(
            "Version of the classifier, or model and version of its prompt; null unless sampled. After +: why a model "
            "that was asked gave no labels (budget, timeout, failed, late: no answer before the record left the log)",
            since=2,
        ),
    ] = None
    task_tag: Annotated[str | None, Column("One of the 30 task tags; null as category is", since=2)] = None
    task_tag_confidence: Annotated[
        float | None, Column("Probability of the likeliest task tag, in [0, 1]", since=2)
    ] = None
    natural_language: Annotated[
        str | None, Column("Language of the prompt's prose, ISO 639-1; null as category is", since=2)
    ] = None
    natural_language_confidence: Annotated[
        float | None, Column("Probability of the likeliest natural language, in [0, 1]", since=2)
    ] = None
    programming_language: Annotated[
        str | None, Column("Language of the code in the prompt, else the one that it names; null without", since=2)
    ] = None
    source: Annotated[
        str | None, Column("Format that the row was imported from; null for the router's own", since=2)
    ] = None
    trains_selection: Annotated[
        bool | None, Column("Whether an imported row may train selection; null for the router's own", since=2)
    ] = None


RECORD_SCHEMA: pa.Schema = arrow_schema(Record)
