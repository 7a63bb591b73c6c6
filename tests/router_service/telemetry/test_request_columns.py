"""The record says what the client sent, in columns that are bounded and null where a value cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.lake import Lake
from data.record.record import Record
from router_service.admission.client_region import ClientRegions
from router_service.api.parse_head import parse_head
from router_service.telemetry.lookup import find_on_disk
from router_service.telemetry.request_columns import describe_request, header_text
from router_service.telemetry.sealing import recover
from tests.conftest import Stack, open_stack
from tests.running import until

MODEL = "openai/gpt-oss-120b"
MESSAGES = [{"role": "user", "content": "Name the winds of the Mediterranean."}]


def described(body: dict[str, Any] | bytes, **headers: bytes) -> Record:
    record = Record("gen-1-0", 1, "w", MODEL, False, 200, 5, key_hash="ab" * 32)
    raw = body if isinstance(body, bytes) else msgspec.json.encode({"model": MODEL, "messages": MESSAGES} | body)
    described_by = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    record.body_bytes = len(raw)
    describe_request(record, described_by, parse_head(raw))
    return record


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("日本語".encode(), "日本語"),
        ("Müller".encode(), "Müller"),
        ("Müller".encode("latin-1"), "Müller"),
        ("日本語".encode()[:-1], "日本語".encode()[:-1].decode("latin-1")),
        (b"plain", "plain"),
        (b"\xff\xfe", "ÿþ"),
        ("語".encode() * 2000, "語" * 512),
        (b"\xe9" * 2000, "é" * 512),
        (b"", None),
        (None, None),
    ],
)
def test_a_header_is_utf_8_or_else_latin_1(value: bytes | None, text: str | None) -> None:
    assert header_text(value) == text


def test_headers_are_bounded() -> None:
    record = described({}, user_agent=b"a" * 5000, x_title=b"t" * 5000, http_referer=b"h" * 5000)
    assert [len(text or "") for text in (record.user_agent, record.app_title, record.app)] == [256, 512, 512]


def test_texts_and_names_of_the_body_are_bounded() -> None:
    record = described({"trace": {"trace_id": "t" * 5000}} | {f"{number:03}{'n' * 250}": 1 for number in range(200)})
    assert len(record.trace_id or "") == 256
    assert len(record.parameters) == 64
    assert {len(name) for name in record.parameters} == {64}
    assert described({"temperature": 1}).parameters == ["messages", "model", "temperature"]


def test_a_request_with_a_long_model_is_recorded_without_it(stack: Stack) -> None:
    with stack.client as client:
        answer = client.post("/api/v1/chat/completions", json={"model": "m" * 1000, "messages": MESSAGES})
        name = answer.headers["x-generation-id"]
    assert answer.status_code == 400
    until(lambda: find_on_disk(stack.lake, name), "the record is written")
    row = find_on_disk(stack.lake, name)
    assert row is not None
    assert (row["requested_model"], row["error_type"]) == ("", "string_too_long")


@pytest.mark.parametrize(
    ("body", "effort"),
    [
        ({"reasoning": {"effort": "high"}}, "high"),
        ({"reasoning_effort": "low"}, "low"),
        ({"reasoning": {"effort": "high"}, "reasoning_effort": "low"}, "high"),
        ({"reasoning": {"max_tokens": 100}, "reasoning_effort": "low"}, "low"),
        ({"reasoning": {"enabled": True}}, None),
        ({"reasoning": "high"}, None),
        ({"reasoning": {"effort": 3}, "reasoning_effort": ["x"]}, None),
        ({"reasoning_effort": "x" * 1000}, "x" * 64),
        ({"reasoning": None, "reasoning_effort": None}, None),
        ({}, None),
    ],
)
def test_reasoning_effort(body: dict[str, Any], effort: str | None) -> None:
    assert described(body).reasoning_effort == effort


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}, "json_schema"),
        ({"type": "json_object"}, "json_object"),
        ({"type": "text"}, None),
        ({"type": 3}, None),
        ({"type": "x" * 1000}, "x" * 64),
        ({}, None),
        ("json", None),
        (None, None),
    ],
)
def test_structured_output(asked: object, kind: str | None) -> None:
    assert described({"response_format": asked}).structured_output == kind


@pytest.mark.parametrize(
    ("parts", "media"),
    [
        ([{"type": "text", "text": "x"}], ["text"]),
        ([{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}], ["text", "image"]),
        (
            [{"type": "file", "file": {"file_data": "data:"}}, {"type": "input_audio", "input_audio": {}}],
            ["text", "audio", "file"],
        ),
        ([{"type": "file", "file": {"file_id": "f", "file_data": "d"}}], ["text", "file"]),
        ([{"type": "file", "file": {"file_id": "f"}}], ["text", "file"]),
        ([{"type": "video_url", "video_url": {"url": "https://a.example/b.mp4"}}], ["text", "video"]),
        ([{"type": "text", "text": 'a quoted "image_url": {} is no image'}], ["text"]),
    ],
)
def test_input_media(parts: list[dict[str, Any]], media: list[str]) -> None:
    assert described({"messages": [{"role": "user", "content": parts}]}).input_media == media


def test_a_user_is_hashed_with_the_key() -> None:
    one = described({"user": "someone@example.org"}).user_hash
    assert one is not None and len(one) == 32 and "someone" not in one
    assert described({"user": "someone@example.org"}).user_hash == one
    assert described({"user": "other@example.org"}).user_hash != one
    # The same string, escaped in another way.
    raw = b'{"model": "a/b", "messages": [{}], "user": "\\u0073omeone@example.org"}'
    assert described(raw).user_hash == one
    assert described({"user": "x" * 60_000}).user_hash is not None


@pytest.mark.parametrize("user", [3, None, "", ["a"], {"id": "a"}])
def test_a_user_that_is_no_text_has_no_hash(user: object) -> None:
    assert described({"user": user}).user_hash is None


@pytest.mark.parametrize(
    ("word", "country"),
    [(b"de", "DE"), (b" FR ", "FR"), (b"europe", None), (b"xx", None), (b"t1", None), (b"\xff", None), (b"", None)],
)
def test_the_country_is_a_word_of_the_header(word: bytes, country: str | None) -> None:
    regions = ClientRegions("cf-ipcountry", {})
    for _ in range(2):
        assert regions.country({b"cf-ipcountry": word}) == country
    assert regions.country({}) is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_record_of_a_request_has_its_columns(stack: Stack, stream: bool) -> None:
    body = {"model": MODEL, "messages": MESSAGES, "stream": stream, "user": "u", "reasoning_effort": "low"}
    headers = {
        b"x-title": "日本語".encode(),
        b"http-referer": "https://例え.jp/".encode(),
        b"user-agent": b"almanac/1",
        b"x-portolan-client-region": b"de",
    }
    with stack.client as client:
        answer = client.post("/api/v1/chat/completions", json=body, headers=headers)
        generation = client.get("/api/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    assert (generation["http_referer"], generation["user_agent"]) == ("https://例え.jp/", "almanac/1")
    recover_when_written(stack.lake, answer.headers["x-generation-id"])
    row = find_on_disk(stack.lake, answer.headers["x-generation-id"])
    assert row is not None
    wanted = {
        "task": "chat",
        "skin": "chat",
        "wire_format": "openai_chat",
        "app_title": "日本語",
        "app": "https://例え.jp/",
        "user_agent": "almanac/1",
        "country": "DE",
        "client_region": "europe",
        "reasoning_effort": "low",
        "input_media": ["text"],
        "output_bytes": len(answer.content),
        "cancelled": False,
        "ended_by_client": None,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["user_hash"] is not None
    assert sum(charge["nano"] for charge in row["charges"]) == row["cost_nano"] > 0
    assert {charge["meter"]: charge["quantity"] for charge in row["charges"]} == {
        "prompt": row["prompt_tokens"],
        "completion": row["completion_tokens"],
    }
    assert [attempt["step"] for attempt in row["attempts"]] == [0] * len(row["attempts"])


def recover_when_written(lake: Lake, generation_id: str) -> None:
    """Seal what there is once the record is on disk."""
    until(lambda: find_on_disk(lake, generation_id), "the record is written")
    recover(lake)


def test_a_refusal_has_its_size_and_no_charges(stack: Stack) -> None:
    with stack.client as client:
        answer = client.post("/api/v1/chat/completions", json={"model": "no/such", "messages": MESSAGES})
    until(lambda: find_on_disk(stack.lake, answer.headers["x-generation-id"]), "the record is written")
    row = find_on_disk(stack.lake, answer.headers["x-generation-id"])
    assert row is not None
    assert (row["output_bytes"], row["charges"], row["wire_format"]) == (len(answer.content), None, None)


def test_a_client_that_leaves_has_ended_its_request(tmp_path: Path) -> None:
    with (
        open_stack(tmp_path, ttft_timeout=60.0, keepalive_interval=0.05) as stack,
        stack.client as client,
    ):
        stack.lab.modes["*"] = {"mode": "hang"}
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        with client.stream("POST", "/api/v1/chat/completions", json=body) as answer:
            name = answer.headers["x-generation-id"]
            next(answer.iter_raw())
        until(lambda: find_on_disk(stack.lake, name), "the record is written", 60)
    row = find_on_disk(stack.lake, name)
    assert row is not None
    assert (row["cancelled"], row["ended_by_client"], row["status"]) == (True, True, 499)
    assert row["output_bytes"] > 0
