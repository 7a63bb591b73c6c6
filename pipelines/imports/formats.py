"""Translate rows of other routers' exports to records, one function for each format.

The shapes are those that the tools document; ``docs/imports.md`` names the pages and their dates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data.record.attempt import Attempt
from data.record.charges import TOTAL, WEB_SEARCH, Charge, total_nano
from data.record.record import Record
from pipelines.imports.fields import (
    RowRejected,
    count,
    flag,
    mapping,
    microseconds,
    moment,
    nano_usd,
    required_text,
    text,
)
from pipelines.imports.known_names import KnownNames
from pipelines.imports.source_rows import ImportInvalid, SourceRow, csv_rows, json_rows

WORKER = "import"
MAX_ID = 256
MAX_ATTEMPTS = 100
CLIENT_CLOSED, BAD_GATEWAY = 499, 502
FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "error")
# Statuses of single attempts; any other that is 400 or more is the request's own fault.
ERROR_TYPES = {401: "authentication", 402: "payment_required", 403: "permission_denied", 404: "not_found"} | {
    408: "timeout", 429: "rate_limit_exceeded", 500: "server", 502: "provider_unavailable",
    503: "provider_overloaded", 504: "timeout", 529: "provider_overloaded",
}  # fmt: skip
TASKS = {"embedding": "embeddings", "embeddings": "embeddings", "aembedding": "embeddings", "rerank": "rerank"} | {
    "arerank": "rerank", "image": "images", "image_generation": "images", "aimage_generation": "images",
}  # fmt: skip

ACTIVITY_COLUMNS = frozenset(
    {"generation_id", "created_at", "model_permaslug", "tokens_prompt", "tokens_completion", "cost_total"}
)
SPEND_COLUMNS = frozenset({"request_id", "startTime", "model", "spend", "prompt_tokens", "completion_tokens"})
AGGREGATED = "an export that sums requests by model or day cannot be imported: export the single generations"


class ImportFormat(NamedTuple):
    """Join how the rows of a format are read and how one becomes a record."""

    rows: Callable[[Path], Iterator[SourceRow]]
    to_record: Callable[[Mapping[str, Any], KnownNames], Record]


def activity_rows(path: Path) -> Iterator[SourceRow]:
    """Yield the rows of OpenRouter's CSV of single generations."""
    try:
        yield from csv_rows(path, ACTIVITY_COLUMNS)
    except ImportInvalid as error:
        raise ImportInvalid(f"{error}; {AGGREGATED}") from None


def activity_record(values: Mapping[str, Any], names: KnownNames) -> Record:
    """Return the record of a row of OpenRouter's CSV. It lists no failed attempt, so the record has no attempts."""
    record = _record(values, names, "generation_id", "created_at", "model_permaslug", text(values, "provider_name"))
    record.stream, record.cancelled = flag(values, "streamed"), flag(values, "cancelled")
    record.duration_us = microseconds(values, "generation_time_ms") or 0
    record.ttft_us = microseconds(values, "time_to_first_token_ms")
    record.app_title = text(values, "app_name")
    _set_tokens(record, values, "tokens_prompt", "tokens_completion", "tokens_cached", "tokens_reasoning")
    _set_cost(record, nano_usd(values, "cost_total"), nano_usd(values, "cost_web_search"))
    _set_end(record, text(values, "finish_reason_normalized"), text(values, "finish_reason_raw"))
    return record


def generation_record(values: Mapping[str, Any], names: KnownNames) -> Record:
    """Return the record of one answer of OpenRouter's ``GET /generation``, with the attempts that it lists."""
    record = _record(values, names, "id", "created_at", "model", text(values, "provider_name"))
    record.stream, record.cancelled = flag(values, "streamed"), flag(values, "cancelled")
    record.duration_us = microseconds(values, "generation_time") or 0
    record.ttft_us = microseconds(values, "latency") if record.stream else None
    record.task = TASKS.get(text(values, "api_type") or "", "chat")
    record.app = text(values, "http_referer") or text(values, "origin")
    record.user_agent = (text(values, "user_agent") or "")[:MAX_ID] or None
    record.session_id, record.upstream_id = text(values, "session_id"), text(values, "upstream_id")
    record.service_tier = text(values, "service_tier")
    record.web_searches = count(values, "num_search_results")
    native = "native_tokens_" if values.get("native_tokens_prompt") is not None else "tokens_"
    _set_tokens(
        record, values, f"{native}prompt", f"{native}completion", "native_tokens_cached", "native_tokens_reasoning"
    )
    _set_cost(record, nano_usd(values, "total_cost"), None)
    _set_end(record, text(values, "finish_reason"), text(values, "native_finish_reason"))
    responses = values.get("provider_responses")
    if isinstance(responses, list):
        record.attempts = [_attempt(one, record, names) for one in responses[:MAX_ATTEMPTS] if isinstance(one, dict)]
        if record.attempts and record.attempts[-1].error_type is None:
            record.attempts[-1].ttft_us = record.ttft_us
    return record


def spend_rows(path: Path) -> Iterator[SourceRow]:
    """Yield the rows of LiteLLM's spend logs: CSV where the file's name ends so, else JSON."""
    yield from csv_rows(path, SPEND_COLUMNS) if path.suffix.lower() == ".csv" else json_rows(path)


def spend_record(values: Mapping[str, Any], names: KnownNames) -> Record:
    """Return the record of a row of LiteLLM's ``LiteLLM_SpendLogs``; it has one attempt, which failed or did not.

    ``prompt_tokens`` includes what was read from the cache. The hash of the key is left out: it may be that of one of
    the router's own keys, whose budget it would then use up.
    """
    if not values.get("request_id") and "group_by_day" in values:
        raise RowRejected(AGGREGATED)
    written, provider = required_text(values, "model"), text(values, "custom_llm_provider")
    record = _record(values, names, "request_id", "startTime", "model", provider)
    if written == text(values, "model_group"):
        # The group is the name that the client used; the deployment is then not known.
        record.endpoint = None
    record.requested_model = text(values, "model_group") or written
    record.task = TASKS.get(text(values, "call_type") or "", "chat")
    record.session_id = text(values, "session_id")
    if text(values, "endTime"):
        record.duration_us = max(0, moment(values, "endTime") - record.started_at)
    if text(values, "completionStartTime"):
        ttft_us = moment(values, "completionStartTime") - record.started_at
        record.stream = 0 < ttft_us < record.duration_us
        record.ttft_us = ttft_us if record.stream else None
    usage = mapping(mapping(values, "metadata"), "additional_usage_values")
    _set_tokens(record, values, "prompt_tokens", "completion_tokens", "", "")
    record.cached_tokens = count(usage, "cache_read_input_tokens")
    record.cache_write_tokens = count(usage, "cache_creation_input_tokens")
    _set_cost(record, nano_usd(values, "spend"), None)
    if str(values.get("cache_hit")).lower() == "true":
        record.response_cache = "hit"
    failure = mapping(mapping(values, "metadata"), "error_information")
    if text(values, "status") == "failure" or failure.get("error_code"):
        status = count(failure, "error_code") if str(failure.get("error_code", "")).isdigit() else None
        record.status = status if status and 400 <= status <= 599 else BAD_GATEWAY
        record.error_type = error_type(record.status)
    if record.provider is not None and record.response_cache is None:
        attempt = Attempt(record.endpoint or _unlisted(record), record.provider, record.model or "", record.status)
        attempt.error_type, attempt.ttft_us = record.error_type, record.ttft_us
        attempt.duration_us = record.duration_us or None
        record.attempts = [attempt]
    return record


def own_record(values: Mapping[str, Any], names: KnownNames) -> Record:
    """Return the record of a row of the documented JSON Lines."""
    record = _record(values, names, "id", "started_at", "model", text(values, "provider"))
    record.stream, record.cancelled = flag(values, "stream"), flag(values, "cancelled")
    record.duration_us = microseconds(values, "duration_ms") or 0
    record.ttft_us = microseconds(values, "ttft_ms")
    record.app, record.app_title = text(values, "app"), text(values, "app_title")
    record.session_id, record.tools = text(values, "session_id"), count(values, "tools") or 0
    _set_tokens(record, values, "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    _set_cost(record, nano_usd(values, "cost_usd"), None)
    _set_end(record, text(values, "finish_reason"), None)
    status = count(values, "status")
    if status is not None:
        if not 100 <= status <= 599:
            raise RowRejected(f"status must be from 100 to 599, not {status}")
        record.status = status
        record.error_type = error_type(status)
    return record


def error_type(status: int) -> str | None:
    """Return the record's typed error code for an HTTP status, ``None`` for a success."""
    return None if status < 400 or status == CLIENT_CLOSED else ERROR_TYPES.get(status, "invalid_request")


def _record(
    values: Mapping[str, Any], names: KnownNames, id_name: str, time_name: str, model_name: str, provider: str | None
) -> Record:
    written, slug = required_text(values, model_name), names.provider(provider)
    model = names.model(written, slug)
    generation_id = required_text(values, id_name)
    if len(generation_id) > MAX_ID:
        raise RowRejected(f"{id_name} must have at most {MAX_ID} characters")
    record = Record(generation_id, moment(values, time_name), WORKER, written, False, 200, 0)
    record.model, record.author, record.provider = model, model.split("/", 1)[0], slug
    record.endpoint = names.endpoint(model, slug)
    return record


def _set_tokens(
    record: Record, values: Mapping[str, Any], prompt: str, completion: str, cached: str, reasoning: str
) -> None:
    record.prompt_tokens, record.completion_tokens = count(values, prompt), count(values, completion)
    record.cached_tokens = count(values, cached) if cached else None
    record.reasoning_tokens = count(values, reasoning) if reasoning else None
    record.estimated_prompt_tokens = record.prompt_tokens or 0


def _set_cost(record: Record, total: int | None, searches: int | None) -> None:
    """Charge the total of a source that does not state what each meter cost; only searches are known apart."""
    if total is None:
        return
    apart = min(searches or 0, total)
    charges = [Charge(TOTAL, 1, total - apart), *([Charge(WEB_SEARCH, 1, apart)] if apart else [])]
    record.charges = charges
    record.cost_nano = record.cost_fees_nano = total_nano(charges)


def _set_end(record: Record, reason: str | None, native: str | None) -> None:
    record.finish_reason = reason if reason in FINISH_REASONS else None
    record.native_finish_reason = (native or (reason if record.finish_reason is None else None) or "")[:MAX_ID] or None
    if record.cancelled:
        record.status = CLIENT_CLOSED
    elif record.finish_reason == "error":
        record.status, record.error_type = BAD_GATEWAY, "provider_unavailable"


def _attempt(values: Mapping[str, Any], record: Record, names: KnownNames) -> Attempt:
    provider = names.provider(text(values, "provider_name")) or record.provider or "unknown"
    model = record.model or ""
    status = count(values, "status") or None
    endpoint = names.endpoint(model, provider) or f"{provider}:{model}"
    latency_us = microseconds(values, "latency")
    return Attempt(endpoint, provider, model, status, error_type(status or 200), duration_us=latency_us)


def _unlisted(record: Record) -> str:
    return f"{record.provider}:{record.model}"


FORMATS = {
    "openrouter-activity": ImportFormat(activity_rows, activity_record),
    "openrouter-generation": ImportFormat(json_rows, generation_record),
    "litellm": ImportFormat(spend_rows, spend_record),
    "jsonl": ImportFormat(json_rows, own_record),
}
