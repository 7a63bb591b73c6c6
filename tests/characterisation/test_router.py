"""Characterises what the router answers by itself: its own errors, and the routes that only read."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.characterisation.conftest import BODY_LIMIT, CALLED, UNPRICED, UNTOUCHED, Market
from tests.characterisation.golden import FOLDER, SUFFIX, Golden, message, sections, shown_request

CHAT = "/api/v1/chat/completions"
JSON = {"content-type": "application/json"}
M = [{"role": "user", "content": "hello"}]


@dataclass(frozen=True)
class Call:
    """Holds one request to the router; ``anonymous`` leaves the key out."""

    name: str
    content: bytes = b""
    method: str = "POST"
    path: str = CHAT
    headers: dict[str, str] = field(default_factory=dict)
    anonymous: bool = False


def chat(name: str, headers: dict[str, str] | None = None, **fields: Any) -> Call:
    body = {"model": UNTOUCHED, "messages": M} | fields
    return Call(name, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(), headers=headers or {})


def get(name: str, path: str, **more: Any) -> Call:
    return Call(name, method="GET", path=path, **more)


BODIES = [
    Call("body_empty"),
    Call("body_not_json", b"{nope"),
    Call("body_array", b"[1]"),
    Call("body_string", b'"hello"'),
    Call("body_not_utf8", b'{"model":"\xff","messages":[{}]}'),
    Call("body_byte_order_mark", b"\xef\xbb\xbf{}"),
    Call("body_too_large", b'{"model":"' + b"x" * BODY_LIMIT + b'"}'),
    Call("body_gzip", gzip.compress(b'{"model":"test/untouched"}', mtime=0), headers={"content-encoding": "gzip"}),
    Call("body_deep", b'{"model":"test/untouched","messages":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    Call("model_missing", json.dumps({"messages": M}).encode()),
    Call("messages_missing", json.dumps({"model": UNTOUCHED}).encode()),
    chat("model_number", model=7),
    chat("model_null", model=None),
    chat("model_empty", model=""),
    chat("model_unknown", model="acme/fake-1.0"),
    chat("model_unknown_streamed", model="acme/fake-1.0", stream=True),
    chat("model_unpriced", model=UNPRICED),
    chat("model_free_variant", model=f"{UNTOUCHED}:free"),
    chat("model_unknown_variant", model=f"{UNTOUCHED}:swift"),
    chat("models_not_a_list", models="a/b"),
    chat("models_too_many", models=[f"a/b{n}" for n in range(21)]),
    chat("messages_empty", messages=[]),
    chat("messages_string", messages="hello"),
    chat("messages_null", messages=None),
    chat("stream_string", stream="yes"),
    chat("max_tokens_zero", max_tokens=0),
    chat("max_tokens_negative", max_completion_tokens=-1),
    chat("max_tokens_string", max_tokens="many"),
    chat("max_tokens_fraction", max_tokens=1.5),
    chat("max_tokens_beyond_64_bits", max_tokens=18446744073709551616),
    chat("max_tokens_required", max_tokens=32001, provider={"require_parameters": True}),
    chat("tools_object", tools={}),
    chat("session_id_too_long", session_id="s" * 257),
    chat("session_id_number", session_id=7),
    chat("trace_string", trace="t"),
    chat("service_tier_number", service_tier=1),
    chat("service_tier_unknown", service_tier="gold"),
    chat("provider_string", provider="openai"),
    chat("provider_sort_unknown", provider={"sort": "luck"}),
    chat("provider_only_another", provider={"only": ["azure"]}),
    chat("provider_ignored", provider={"ignore": ["openai"]}),
    chat("provider_order_another", provider={"order": ["azure"], "allow_fallbacks": False}),
    chat("provider_max_price", provider={"max_price": {"prompt": 0.5}}),
    chat("provider_quantization", provider={"quantizations": ["fp8"]}),
    chat("provider_zdr", provider={"zdr": True}),
    chat("provider_data_collection", provider={"data_collection": "deny"}),
    chat("provider_require_parameters", provider={"require_parameters": True}, verbosity="low", top_k=1),
    chat("provider_require_parameters_streamed", provider={"require_parameters": True}, top_k=1, stream=True),
    chat("filtered_with_metadata", {"x-openrouter-metadata": "enabled"}, provider={"only": ["azure"]}),
]
KEYS = [
    Call("key_missing", chat("").content, anonymous=True),
    Call("key_unknown", chat("").content, headers={"authorization": "Bearer sk-or-v1-unknown"}, anonymous=True),
    Call("key_basic", chat("").content, headers={"authorization": "Basic eDp5"}, anonymous=True),
    get("key_missing_for_key", "/api/v1/key", anonymous=True),
    get("key_missing_for_generation", "/api/v1/generation?id=gen-1-x", anonymous=True),
]
ROUTES = [
    get("chat_get", CHAT),
    Call(
        "chat_options",
        method="OPTIONS",
        headers={"origin": "https://a.example", "access-control-request-method": "POST"},
    ),
    Call("chat_put", b"{}", method="PUT"),
    get("unknown_path", "/api/v1/nothing"),
    Call("models_post", b"{}", path="/api/v1/models"),
    Call("models_head", method="HEAD", path="/api/v1/model/test/untouched"),
    get("model", "/api/v1/model/test/untouched"),
    get("model_other_prefix", "/v1/model/test/untouched"),
    get("model_not_known", "/api/v1/model/acme/fake-1.0"),
    get("endpoints", "/api/v1/models/test/untouched/endpoints"),
    get("endpoints_anonymous", "/api/v1/models/test/untouched/endpoints", anonymous=True),
    get("endpoints_not_known", "/api/v1/models/acme/fake-1.0/endpoints"),
    get("generation_without_id", "/api/v1/generation"),
    get("generation_not_known", "/api/v1/generation?id=gen-1-x"),
    get("generation_id_too_long", f"/api/v1/generation?id={'x' * 129}"),
    Call("preview", json.dumps({"model": UNTOUCHED, "messages": M}).encode(), path="/api/v1/route/preview"),
    Call(
        "preview_refused",
        json.dumps({"model": UNTOUCHED, "provider": {"zdr": True}}).encode(),
        path="/api/v1/route/preview",
    ),
]
# These reach an endpoint.
SERVED = [
    chat("reasoning_string", model=CALLED, reasoning="high"),
    chat("provider_unknown_field", model=CALLED, provider={"onyl": ["openai"]}),
    chat("max_tokens_beyond_the_endpoint", model=CALLED, max_tokens=32001),
    chat("served_alias", model="test/alias"),
    chat("served_metadata", {"x-openrouter-metadata": "enabled"}, model=CALLED),
    chat("served_metadata_streamed", {"x-openrouter-metadata": "enabled"}, model=CALLED, stream=True),
    chat("served_app", {"http-referer": "https://a.example", "x-title": "An app", "x-session-id": "s-1"}, model=CALLED),
    chat("served_next_model", model="acme/fake-1.0", models=[CALLED]),
    chat("unknown_plugin", model=CALLED, plugins=[{"id": "no-such-plugin"}]),
    Call(
        "served_white_space", b' {\n "model" : "test/called" , "messages" : [ { "role":"user", "content":"hi" } ] }\n'
    ),
    Call("served_double_field", b'{"model":"a/b","model":"test/called","messages":[{"role":"user","content":"hi"}]}'),
]
CALLS = [*BODIES, *KEYS, *ROUTES, *SERVED]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_the_answer_is_that_of_the_golden(market: Market, golden: Golden, call: Call) -> None:
    golden.check(f"router/{call.name}", _exchange(market, call))


def test_the_list_of_models_has_this_row(market: Market, golden: Golden) -> None:
    body = market.client.get("/api/v1/models").json()
    rows = [row for row in body["data"] if row["id"] == UNTOUCHED]
    shape = {"data": rows, "total_count": len(body["data"]) == body["total_count"], "links": body["links"]}
    golden.check("router/models_excerpt", json.dumps(shape, indent=1).encode())


def test_the_list_of_providers_has_this_row(market: Market, golden: Golden) -> None:
    body = market.client.get("/api/v1/providers").json()
    rows = [row for row in body["data"] if row["slug"] == "openai"]
    golden.check("router/providers_excerpt", json.dumps({"data": rows}, indent=1).encode())


def test_a_key_tells_what_was_spent_with_it(market: Market, golden: Golden) -> None:
    headers = {"authorization": f"Bearer {market.new_key()}"}
    golden.check("router/key_unused", _exchange(market, get("", "/api/v1/key", headers=headers)))
    _exchange(market, chat("", headers, model=CALLED))
    golden.check("router/key_used", _exchange(market, get("", "/api/v1/key", headers=headers)))


def test_every_golden_belongs_to_a_test() -> None:
    excerpts = {"models_excerpt", "providers_excerpt", "key_unused", "key_used"}
    found = {path.name.removesuffix(SUFFIX) for path in (FOLDER / "router").glob("*")}
    assert found == {call.name for call in CALLS} | excerpts


def _exchange(market: Market, call: Call) -> bytes:
    provided = market.provider.script(market.plain, streamed=b'"stream":true' in call.content)
    headers = (JSON if call.content else {}) | call.headers
    request = market.client.build_request(call.method, call.path, content=call.content or None, headers=headers)
    if call.anonymous and "authorization" not in call.headers:
        del request.headers["authorization"]
    answer = market.client.send(request)
    assert not (provided.received and UNTOUCHED.encode() in call.content), "this request needs another model"
    parts = {
        "response_to_the_client": message(
            f"HTTP/1.1 {answer.status_code}", answer.headers.multi_items(), answer.content
        )
    }
    if provided.received:
        parts = {"requests_to_the_provider": b"\n".join(map(shown_request, provided.received))} | parts
    if "x-generation-id" in answer.headers:
        asked = {"authorization": call.headers["authorization"]} if "authorization" in call.headers else {}
        found = market.lookup.get("/api/v1/generation", params={"id": answer.headers["x-generation-id"]}, headers=asked)
        parts["generation"] = message(f"HTTP/1.1 {found.status_code}", [], found.content)
    return sections(**parts)
