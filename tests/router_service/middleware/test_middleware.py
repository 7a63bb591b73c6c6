"""Test middleware of another package, which the router finds by its entry point, on a running router."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

import lab.server
from lab.server import Lab
from lab.text import Ask, Completion
from router_service.middleware.middleware import load_middleware
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, open_stack
from tests.running import until

THIRD_PARTY = Path(__file__).parent / "third_party"
MODEL = "anthropic/claude-sonnet-4.5"
# The provider splits the word over three chunks.
CHUNKS = ("The ha", "r", "bour is near, the harbou", "r and the harbou")
SEEN = "The haven is near, the haven and the harbou"


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Open a router with the named middleware, in front of a lab that always says ``CHUNKS``."""

    def complete(_ask: Ask, dice: random.Random) -> Completion:
        return Completion(CHUNKS, 10, False, None, dice.getrandbits(60))

    monkeypatch.syspath_prepend(THIRD_PARTY)
    monkeypatch.setattr(lab.server, "complete", complete)
    with open_stack(tmp_path, Lab(time_scale=0, faults=False), middleware=list(request.param)) as stack:
        yield stack


def answer(stack: Stack, stream: bool, text: str = "hello") -> anthropic.types.Message:
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    with anthropic.Anthropic(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
        if not stream:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as found:
            return found.get_final_message()


def record(stack: Stack, message: anthropic.types.Message) -> dict[str, Any]:
    generation = "gen-" + message.id.removeprefix("msg_").replace("_", "-")
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    row = find_on_disk(stack.lake, generation)
    assert row is not None
    return row


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("opened", [["replace_word"]], indirect=True)
def test_a_word_that_chunks_split_is_replaced(opened: Stack, stream: bool) -> None:
    message = answer(opened, stream)
    assert [block.text for block in message.content if block.type == "text"] == [SEEN]
    assert record(opened, message)["middleware"] == ["replace_word"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("opened", [["refuse_topic", "replace_word"]], indirect=True)
def test_a_request_is_refused_before_dispatch(opened: Stack, stream: bool) -> None:
    assert record(opened, answer(opened, stream))["status"] == 200
    before = sum(opened.lab.calls.values())
    with pytest.raises(anthropic.BadRequestError, match="no questions on that topic"):
        answer(opened, stream, "a forbidden thing")
    assert sum(opened.lab.calls.values()) == before


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("opened", [["ask_twice"]], indirect=True)
def test_two_dispatches_are_two_steps_that_add_up(opened: Stack, stream: bool) -> None:
    message = answer(opened, stream)
    row = record(opened, message)
    assert [attempt["step"] for attempt in row["attempts"]] == [0, 1]
    assert [attempt["error_type"] for attempt in row["attempts"]] == [None, None]
    prompts = [charge["quantity"] for charge in row["charges"] if charge["meter"] == "prompt"]
    assert len(prompts) == 2
    assert row["prompt_tokens"] == sum(prompts)
    assert row["cost_nano"] == sum(charge["nano"] for charge in row["charges"])


def test_an_unknown_name_is_refused_with_the_installed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(THIRD_PARTY)
    with pytest.raises(ValueError, match="middleware nobody is not installed; installed: ask_twice, refuse_topic"):
        load_middleware(["nobody"])
