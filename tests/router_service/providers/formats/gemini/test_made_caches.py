"""Test that marks become caches under a name at Google where the operator wants it, for the clients of each API."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from lab.server import Lab, create_app
from router_service.execution.prompt_caches import PromptCaches
from tests.conftest import Stack, open_stack, serving
from tests.lab.google_clients import granted_token, studio_client, vertex_client
from tests.router_service.providers.test_google_token import key_file

MODEL = "google/gemini-2.5-flash"
PROJECT = "projects/harbour/locations/europe-west1"
ONLY: dict[str, Any] = {"provider": {"only": ["google"]}}
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
QUESTION = "Ebb or flood? [lab:scenario=text]"


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab(time_scale=0.0, faults=False, strict=True)


@pytest.fixture(scope="module")
def vertex_url(lab: Lab) -> Iterator[str]:
    """Yield the address of a lab that is called as Vertex AI, with tokens of a service account."""
    with serving(create_app(lab)) as url:
        yield url


@pytest.fixture(scope="module")
def caching(tmp_path_factory: pytest.TempPathFactory, lab: Lab, vertex_url: str) -> Iterator[Stack]:
    """Yield a router that makes caches, in front of a strict lab."""
    folder = tmp_path_factory.mktemp("caches")
    account, file = folder / "key.json", folder / "portolan.toml"
    account.write_bytes(key_file(token_uri=f"{vertex_url}/_google/token"))
    file.write_text(
        '[providers.google-vertex]\nproject = "harbour"\nlocation = "europe-west1"\n'
        "data_policy = { trains = false, retains = false }\n"
        f'service_account = "{account}"\nbase_url = "{vertex_url}/google-vertex/v1/{PROJECT}/publishers/google"\n'
    )
    with open_stack(folder / "data", lab, config=file, make_prompt_caches=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def chat(caching: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{caching.url}/v1", api_key=caching.key, max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def google(caching: Stack) -> Iterator[genai.Client]:
    """Yield Google's own client of the project that the router calls."""
    endpoint = next(one for one in caching.services.endpoints[MODEL] if one.provider == "google")
    with studio_client((endpoint.base_url or "").removesuffix("/google/v1"), "lab") as found:
        yield found


def tides(name: str, times: int = 400) -> str:
    """Return a long text that begins like no other."""
    return f"{name}: " + "The tide turns twice a day. " * times


def text(words: str, mark: Any = None) -> Any:
    """Return a part."""
    return {"type": "text", "text": words} | (mark or {})


def asked(stack: Stack, client: openai.OpenAI, turns: Any, **fields: Any) -> dict[str, Any]:
    """Return the row of a request."""
    found = client.chat.completions.with_raw_response.create(model=MODEL, messages=turns, extra_body=ONLY, **fields)
    if fields.get("stream"):
        assert any(chunk.choices and chunk.choices[0].delta.content for chunk in found.parse())  # type: ignore[attr-defined]
    return stack.record(found.headers["x-generation-id"])


def counted(row: dict[str, Any]) -> dict[str, int]:
    """Return the quantities of a row by meter."""
    assert sum(one["nano"] for one in row["charges"]) == row["cost_nano"]
    return {one["meter"]: one["quantity"] for one in row["charges"]}


@pytest.mark.parametrize(("mark", "minutes"), [(MARK, 5), (HOUR, 60)], ids=["5m", "1h"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_first_request_pays_and_later_ones_read(
    caching: Stack, chat: openai.OpenAI, stream: bool, mark: Any, minutes: int
) -> None:
    """The price of the sheet is that of the prompt for writing, and that of storage for the time of the mark."""
    known = tides(f"{stream} {minutes}")
    turns = [{"role": "user", "content": [text(known, mark), text(QUESTION)]}]
    first, again = (asked(caching, chat, turns, stream=stream) for _ in range(2))
    tokens = len(known) // 4
    price = next(one.price for one in caching.services.endpoints[MODEL] if one.id == first["endpoint"])
    assert price is not None and price.meters is not None and price.meters.cache_storage is not None
    assert counted(again).keys() == {"prompt", "input_cache_read", "completion"}
    assert counted(first) == counted(again) | {
        "input_cache_write": tokens, "cache_storage": tokens * minutes, "completion": counted(first)["completion"],
    }  # fmt: skip
    assert counted(again)["input_cache_read"] == first["cached_tokens"] == first["cache_write_tokens"] == tokens
    nano = {one["meter"]: one["nano"] for one in first["charges"]}
    assert nano["input_cache_write"] == (tokens * price.prompt + 500_000) // 1_000_000
    assert nano["cache_storage"] == (tokens * minutes * price.meters.cache_storage + 30_000_000) // 60_000_000
    assert not first["dropped_parameters"] and not caching.lab.refused


def test_a_client_of_the_messages_api_marks_its_system_prompt(caching: Stack) -> None:
    """Check the counts that the client sees: what was written, what was read, and the rest."""
    known = tides("system")
    with anthropic.Anthropic(base_url=caching.url, api_key=caching.key, max_retries=0) as client:
        first, again = (
            client.messages.create(
                model=MODEL,
                max_tokens=2000,
                system=[{"type": "text", "text": known, "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": "user", "content": QUESTION}],
                extra_body=ONLY,
            ).usage
            for _ in range(2)
        )
    tokens = len(known) // 4
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (tokens, tokens)
    assert (again.cache_creation_input_tokens, again.cache_read_input_tokens) == (None, tokens)
    assert 0 < first.input_tokens == again.input_tokens < tokens


def test_a_client_of_the_responses_api_sets_a_breakpoint(caching: Stack, chat: openai.OpenAI) -> None:
    known = {"type": "input_text", "text": tides("breakpoint"), "prompt_cache_breakpoint": {"mode": "explicit"}}
    turns: Any = [{"role": "user", "content": [known, {"type": "input_text", "text": QUESTION}]}]
    found = chat.responses.with_raw_response.create(model=MODEL, input=turns, extra_body=ONLY)
    row = caching.record(found.headers["x-generation-id"])
    assert row["cached_tokens"] == row["cache_write_tokens"] == len(known["text"]) // 4  # type: ignore[arg-type]


def test_requests_that_come_together_share_one_cache(caching: Stack, chat: openai.OpenAI, google: genai.Client) -> None:
    before = {one.name for one in google.caches.list()}
    turns = [{"role": "user", "content": [text(tides("together"), MARK), text(QUESTION)]}]
    with ThreadPoolExecutor(6) as pool:
        rows = list(pool.map(lambda _: asked(caching, chat, turns), range(6)))
    assert len({one.name for one in google.caches.list()} - before) == 1
    assert sorted("cache_storage" in counted(row) for row in rows) == [False] * 5 + [True]
    assert all(row["cached_tokens"] for row in rows)


def test_a_cache_that_is_gone_costs_no_request(caching: Stack, chat: openai.OpenAI, google: genai.Client) -> None:
    """The request is sent again without it, and reports the mark; the next ones do not ask for it."""
    turns = [{"role": "user", "content": [text(tides("gone"), MARK), text(QUESTION)]}]
    before = {one.name for one in google.caches.list()}
    assert asked(caching, chat, turns)["cached_tokens"]
    (name,) = {one.name for one in google.caches.list()} - before
    google.caches.delete(name=name or "")
    caching.lab.refused.clear()
    for refused in (1, 0):
        row = asked(caching, chat, turns)
        assert (row["status"], row["dropped_parameters"], len(row["attempts"])) == (200, ["cache_control"], 1)
        assert caching.lab.refused.total() == refused
        caching.lab.refused.clear()


def test_a_cache_that_is_refused_costs_no_request(caching: Stack, chat: openai.OpenAI) -> None:
    """The lab counts no tokens of tools, so that what is enough to the router is too little to it."""
    tool = {"type": "function", "function": {"name": "tide", "description": tides("tool"), "parameters": {}} | MARK}
    row = asked(caching, chat, [{"role": "user", "content": QUESTION}], tools=[tool | MARK], tool_choice="none")
    assert (row["status"], row["dropped_parameters"]) == (200, ["cache_control"])
    assert not row["cached_tokens"] and "cache_storage" not in counted(row)


def test_a_conversation_with_tools_continues_from_its_cache(caching: Stack, chat: openai.OpenAI) -> None:
    """A mark at the end stands for the turns before the last, and a result is never apart from its call."""
    tools: Any = [{"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}]
    turns: list[Any] = [
        {"role": "system", "content": [text(tides("tools"), MARK)]},
        {"role": "user", "content": [text("Which tide? [lab:scenario=tool]", MARK)]},
    ]
    ask = chat.chat.completions.with_raw_response
    caching.lab.refused.clear()
    for number in range(3):
        found = ask.create(model=MODEL, messages=turns, tools=tools, extra_body=ONLY)
        row = caching.record(found.headers["x-generation-id"])
        assert row["cached_tokens"] and ("cache_storage" in counted(row)) is (number == 0)
        answer = found.parse().choices[0].message
        turns.append(answer.model_dump(exclude_none=True))
        if answer.tool_calls:
            result = {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": [text("Ebb.", MARK)]}
            turns.append(result)
        else:
            turns.append({"role": "user", "content": [text("And now? [lab:scenario=text]", MARK)]})
    assert not caching.lab.refused


def test_a_longer_prompt_is_cached_once_it_has_doubled(caching: Stack, chat: openai.OpenAI) -> None:
    turns: list[Any] = [{"role": "user", "content": [text(tides("grows"), MARK), text(QUESTION)]}]
    written = [asked(caching, chat, turns)["cache_write_tokens"]]
    for times in (100, 400):
        turns += [{"role": "assistant", "content": "Ebb."}, {"role": "user", "content": [text(tides("more", times))]}]
        turns[-1]["content"] += [text("Read. ", MARK), text(QUESTION)]
        written.append(asked(caching, chat, turns)["cache_write_tokens"])
    assert written[0] and written[1] is None and written[2] > 2 * written[0]


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "user", "content": [text(tides("short", 200), MARK), text(QUESTION)]}],
        [{"role": "user", "content": [text(tides("alone") + QUESTION, MARK)]}],
        [
            {"role": "system", "content": [text(tides("date"), MARK), text("It is noon.")]},
            {"role": "user", "content": QUESTION},
        ],
    ],
    ids=["too short", "nothing follows", "more system text follows"],
)
def test_marks_that_no_cache_can_keep_are_reported(caching: Stack, chat: openai.OpenAI, turns: Any) -> None:
    row = asked(caching, chat, turns)
    assert row["dropped_parameters"] == ["cache_control"] and "cache_storage" not in counted(row)


def test_nothing_is_made_unless_the_operator_wants_it(market: Stack, client: openai.OpenAI) -> None:
    row = asked(market, client, [{"role": "user", "content": [text(tides("off"), MARK), text(QUESTION)]}])
    assert row["dropped_parameters"] == ["cache_control"] and row["cache_write_tokens"] is None


def test_nothing_is_made_where_storage_has_no_price(caching: Stack, chat: openai.OpenAI) -> None:
    turns: Any = [{"role": "user", "content": [text(tides("old"), MARK), text(QUESTION)]}]
    found = chat.chat.completions.with_raw_response.create(
        model="google/gemini-2.0-flash", messages=turns, extra_body=ONLY
    )
    row = caching.record(found.headers["x-generation-id"])
    assert row["dropped_parameters"] == ["cache_control"] and "cache_storage" not in counted(row)


def test_a_cache_is_made_again_after_its_time(
    caching: Stack, chat: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not used within its last seconds, in which it may be gone before the request arrives."""
    now = [0.0]
    monkeypatch.setattr(caching.services.dispatcher, "caches", PromptCaches(lambda: now[0]))
    turns = [{"role": "user", "content": [text(tides("time"), MARK), text(QUESTION)]}]
    made = []
    for now[0] in (0.0, 284.0, 286.0, 290.0):
        made.append("cache_storage" in counted(asked(caching, chat, turns)))
    assert made == [True, False, True, False]


def test_a_project_of_vertex_keeps_caches_at_its_own_address(
    caching: Stack, chat: openai.OpenAI, vertex_url: str
) -> None:
    turns: Any = [{"role": "user", "content": [text(tides("vertex"), MARK), text(QUESTION)]}]
    for paid in (True, False):
        only: Any = {"provider": {"only": ["google-vertex"]}}
        found = chat.chat.completions.with_raw_response.create(model=MODEL, messages=turns, extra_body=only)
        row = caching.record(found.headers["x-generation-id"])
        assert row["cached_tokens"] and ("cache_storage" in counted(row)) is paid
    with vertex_client(vertex_url, granted_token(vertex_url)) as google:
        (made,) = google.caches.list()
    assert made.name and made.name.startswith(f"{PROJECT}/cachedContents/")
    assert made.model == f"{PROJECT}/publishers/google/models/gemini-2.5-flash"


def test_no_cache_is_made_of_a_prompt_that_nobody_may_retain(caching: Stack, chat: openai.OpenAI) -> None:
    turns: Any = [{"role": "user", "content": [text(tides("retention"), MARK), text(QUESTION)]}]
    only: Any = {"provider": {"only": ["google-vertex"], "zdr": True}}
    found = chat.chat.completions.with_raw_response.create(model=MODEL, messages=turns, extra_body=only)
    assert found.headers["x-portolan-dropped-parameters"] == "cache_control"
    assert "cache_storage" not in counted(caching.record(found.headers["x-generation-id"]))
