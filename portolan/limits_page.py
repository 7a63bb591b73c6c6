"""Write ``docs/limits.md`` from the bounds in code: ``python -m portolan.limits_page > docs/limits.md``."""

from __future__ import annotations

import sys
from typing import NamedTuple

from models.categories import by_model
from router_service.admission import keys, refusals
from router_service.api import body_compression, parse_head
from router_service.core import errors, json_structure, preferences, request_bounds
from router_service.execution import event_reader, prompt_caches
from router_service.http_protocol import LINGER_S, MAX_PIPELINED
from router_service.providers.formats.openai_chat import decode
from router_service.settings import Settings
from router_service.telemetry import categories, lookup, model_labeller
from router_service.tool_calls import schemas
from router_service.upstream import connection, decompression, transport

HEAD = """# Limits

Everything that comes from outside is bounded. This page is made from the code by `python -m portolan.limits_page`.
A setting is an environment variable, or a field of `[settings]` in `portolan.toml` without `PORTOLAN_` and in lower
case. Every refusal has the contract's error envelope and a sentence that names the field or the limit. Limits of
connections, requests and memory are those of one worker.
"""


class Limit(NamedTuple):
    """Describe one bound: its value, the setting that changes it, and what happens beyond it."""

    bound: str
    value: str
    answer: str
    setting: str = ""


def limits_page() -> str:
    """Return the page as Markdown."""
    sections = {
        "Connections and requests": _connections(),
        "Fields of a request": _fields(),
        "Keys": _keys(),
        "Providers": _providers(),
        "Labels of prompts": _labels(),
        "The request log": _log(),
    }
    return HEAD + "".join(f"\n## {title}\n\n{_table(rows)}" for title, rows in sections.items())


def _connections() -> list[Limit]:
    return [
        _setting("request line and headers", "max_request_head_bytes", "431", "bytes"),
        _setting("number of headers", "max_request_headers", "431"),
        _setting("time for the head of a request", "request_head_timeout", "408", "s"),
        _setting("time without data in a body", "request_body_idle_timeout", "408", "s"),
        _setting("time in which a client reads nothing of its response", "response_idle_timeout",
                 "the connection is closed, and the request is recorded as cancelled", "s"),
        _setting("open connections", "max_connections", "503 with Retry-After"),
        _setting("open connections from one address", "max_connections_per_address", "503 with Retry-After"),
        _setting("unfinished requests", "max_requests", "503 with Retry-After"),
        _setting("bodies that are arriving, together", "max_arriving_bytes", "503 with Retry-After", "bytes"),
        _setting("body, compressed and decompressed", "max_body_bytes", "413", "bytes"),
        Limit("compressed parts of a body", f"{body_compression.MAX_PARTS}", "400"),
        Limit("pipelined requests of a connection", f"{MAX_PIPELINED}", "400"),
        Limit("time in which a refused client may read why", f"{LINGER_S:g} s", "the connection is closed"),
    ]  # fmt: skip


def _fields() -> list[Limit]:
    bounds = request_bounds
    content = ", ".join(f"`{name}`" for name in sorted(bounds.CONTENT))
    found = ", ".join(f"`{name}`" for name in sorted(bounds.SCHEMAS))
    offered = ", ".join(f"`{name}`" for name in sorted(bounds.TOOLS))
    lists = ", ".join(f"`provider.{name}`" for name in preferences.LISTS)
    return [
        Limit("levels of nested JSON", f"{json_structure.MAX_NESTING}", "400"),
        Limit("lists and objects of a body", f"{json_structure.MAX_CONTAINERS:,}", "400"),
        Limit("fields of all objects of a body", f"{json_structure.MAX_MEMBERS:,}", "400"),
        Limit("values of a body", f"{json_structure.MAX_VALUES:,}", "400"),
        Limit("top-level fields", f"{bounds.MAX_FIELDS}", "400"),
        Limit("name of a field, of a model, an entry of a list of providers", f"{bounds.MAX_NAME_CHARACTERS} "
              "characters", "400"),
        Limit(content, "the body's", "413"),
        Limit(f"messages, parts and parts of tool results in {content}", f"{bounds.MAX_ITEMS:,}", "400"),
        Limit(offered, f"{bounds.MAX_TOOLS_BYTES:,} bytes, {bounds.MAX_TOOLS:,} entries", "400"),
        Limit(found, f"{bounds.MAX_SCHEMA_FIELD_BYTES:,} bytes", "400"),
        Limit("any other field", f"{bounds.MAX_FIELD_BYTES:,} bytes", "400"),
        Limit("`models`", f"{parse_head.MAX_FALLBACK_MODELS} ids", "400"),
        Limit(lists, f"{preferences.MAX_LIST_ENTRIES} entries", "400"),
        Limit("limits of tokens", f"{parse_head.MAX_COMPLETION_LIMIT:,}", "400"),
        Limit("schema of a tool whose calls are checked", f"{schemas.MAX_SCHEMA_BYTES:,} bytes, "
              f"{schemas.MAX_SCHEMA_OBJECTS} objects, {schemas.MAX_PATTERNS} regular expressions",
              "the request is served; its calls are not judged by the schema"),
        Limit("schemas that are compiled for one response", f"{schemas.MAX_COMPILED_BYTES:,} bytes", "likewise"),
    ]  # fmt: skip


def _keys() -> list[Limit]:
    return [
        Limit("length of a key", f"{keys.LONGEST_KEY} characters", "401 without a look-up"),
        Limit("look-ups of unknown keys", f"{keys.LOOK_UPS_PER_S:g} a second after {keys.LOOK_UPS_BURST:g} at once",
              "401; a new key is known a second later at the latest"),
        Limit("records of requests without a known key", f"{refusals.RECORDED_PER_S:g} a second after "
              f"{refusals.RECORDED_BURST:g} at once", "401 without a record"),
        Limit("keys in memory by what clients sent", f"{keys.MAX_KNOWN:,} and {keys.MAX_KNOWN_BYTES:,} bytes",
              "the oldest are looked up again"),
    ]  # fmt: skip


def _providers() -> list[Limit]:
    cut = "typed failure; the next endpoint before the first token, an error event and the end after it"
    return [
        Limit("head of a response with what frames its body", f"{connection.MAX_HEAD_BYTES:,} bytes", cut),
        Limit("body of a non-streaming response", f"{transport.MAX_BODY_BYTES:,} bytes", cut),
        Limit("body of an error", f"{transport.MAX_ERROR_BYTES:,} bytes, within the attempt's deadline", cut),
        Limit("growth of a compressed part", f"{decompression.MAX_RATIO} times, beyond "
              f"{decompression.ALWAYS_ALLOWED_BYTES:,} bytes", cut),
        _setting("event of a stream", "max_event_bytes", cut, "bytes"),
        Limit("batches of a stream before its first content", f"{event_reader.MAX_BATCHES_BEFORE_CONTENT:,}", cut),
        Limit("caches under a name that the router remembers", f"{prompt_caches.MAX_CACHES:,} and "
              f"{prompt_caches.MAX_CACHE_BYTES:,} bytes", "the oldest are made again when they are asked for"),
        Limit("time in which a request waits for such a cache", f"{prompt_caches.WAIT_S:g} s",
              "it is sent without one, which a later request finds"),
        Limit("choices of a response", f"{decode.MAX_CHOICES}", cut),
        _setting("time to connect", "connect_timeout", cut, "s"),
        _setting("time to the first token", "ttft_timeout", cut, "s"),
        _setting("time of a non-streaming response", "answer_timeout", cut, "s"),
        _setting("time without data in a stream", "stall_timeout", cut, "s"),
        _setting("time of a request over all attempts", "total_timeout", cut, "s"),
        Limit("Retry-After", f"{errors.MAX_RETRY_AFTER_S:,.0f} s", "a longer one counts as this"),
    ]  # fmt: skip


def _labels() -> list[Limit]:
    kept, sampled = "the classifier's labels are kept, and their version says so", "the prompt is not sampled"
    return [
        Limit("prompts that are labelled", f"{categories.PER_SECOND} a second, {categories.MAX_WAITING} waiting",
              sampled),
        Limit("characters of a prompt that are read or sent", f"{by_model.MAX_CHARACTERS:,}", "the middle is left out"),
        _setting("prompts that a model is asked about, a second", "category_model_per_second", sampled),
        Limit("prompts that it is asked about at once, by a worker", f"{categories.MAX_ASKED}", sampled),
        _setting("cost of asking it in a UTC day", "category_model_usd_per_day", kept, "USD"),
        Limit("age of what is known of the cost in the log", f"{model_labeller.READ_LOG_EVERY_S:g} s",
              "the budget may be exceeded by what other workers spend in it"),
        _setting("time for its answer", "category_model_timeout", kept, "s"),
        Limit("tokens of its answer", f"{by_model.MAX_ANSWER_TOKENS:,}", "unknown"),
        Limit("bytes of its answer", f"{model_labeller.MAX_ANSWER_BYTES:,}", kept),
    ]  # fmt: skip


def _log() -> list[Limit]:
    return [
        Limit("records of this worker that are looked up in memory", f"{lookup.RECENT:,}", "older ones are on disk"),
        _setting("disk space that is reserved for records", "log_reserve_bytes", "see `docs/architecture.md`", "bytes"),
        _setting("time at the end to write records to a full disk", "log_drain_timeout", "the rest is counted", "s"),
    ]


def _setting(bound: str, field: str, answer: str, unit: str = "") -> Limit:
    """Return the bound that a setting has, with its default."""
    default = Settings.model_fields[field].default
    shown = f"{default:,}" if isinstance(default, int) else f"{default:g}"
    return Limit(bound, f"{shown} {unit}".strip(), answer, f"`PORTOLAN_{field.upper()}`")


def _table(rows: list[Limit]) -> str:
    lines = ["| bound | value | setting | beyond it |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.bound} | {row.value} | {row.setting} | {row.answer} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(limits_page())
