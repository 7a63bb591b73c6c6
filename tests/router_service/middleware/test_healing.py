"""Test the plugins that a request names, on a running router."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import lab.server
from lab.server import Lab
from lab.text import Ask, Completion
from router_service.middleware.healing import MAX_REPAIRED_CHARACTERS, heal
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, open_stack
from tests.running import until

BROKEN = 'Sure:\n```json\n{"port": "Riga", "depth": 12,}\n```'
HEALED = '{"port":"Riga","depth":12}'
HEALING = [{"id": "response-healing"}]
JSON_FORMAT = {"type": "json_object"}


class Said:
    """Hold what the lab's model says, and whether it is cut off there."""

    text = BROKEN
    cut = False


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    def complete(_ask: Ask, dice: random.Random) -> Completion:
        half = len(Said.text) // 2
        return Completion((Said.text[:half], Said.text[half:]), 10, Said.cut, None, dice.getrandbits(60))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab.server, "complete", complete)
        with open_stack(tmp_path_factory.mktemp("healing"), Lab(time_scale=0, faults=False)) as stack:
            yield stack


def ask(stack: Stack, **more: Any) -> Any:
    body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "answer as JSON"}]} | more
    with stack.client as client:
        return client.post("/api/v1/chat/completions", json=body)


@pytest.mark.parametrize(
    ("said", "healed"),
    [
        ('{"a": 1}', None),
        ("[1, 2]", None),
        ("no JSON at all", None),
        ("", None),
        ('{"a": 1,}', '{"a":1}'),
        ("{'a': True}", '{"a":true}'),
        ('```json\n{"a":  1}\n```', '{"a":  1}'),
        ('Here it is: {"a": "b"} Anything else?', '{"a": "b"}'),
        ("[1 2 3", "[1,2,3]"),
        ('{a: "x", b: [1,, 2]', '{"a":"x","b":[1,2]}'),
        ('{"a": "a "quoted" word"}', '{"a":"a \\"quoted\\" word"}'),
        ("{" * 3000, None),
        ("[" * 9000, None),
        ("{" + "x" * MAX_REPAIRED_CHARACTERS, None),
    ],
)
async def test_json_that_was_written_almost_right_is_repaired(said: str, healed: str | None) -> None:
    assert await heal(said) == healed


def test_an_answer_is_healed_where_it_was_asked_for(opened: Stack) -> None:
    Said.text, Said.cut = BROKEN, False
    found = ask(opened, plugins=HEALING, response_format=JSON_FORMAT)
    assert found.json()["choices"][0]["message"]["content"] == HEALED
    assert "x-portolan-dropped-parameters" not in found.headers
    generation = found.headers["x-generation-id"]
    until(lambda: find_on_disk(opened.lake, generation) is not None, "the record is written")
    record = find_on_disk(opened.lake, generation)
    assert record is not None and record["middleware"] == ["response-healing"]


@pytest.mark.parametrize(
    "more",
    [
        {"plugins": HEALING},
        {"response_format": JSON_FORMAT},
        {"plugins": [{"id": "response-healing", "enabled": False}], "response_format": JSON_FORMAT},
        {"plugins": None, "response_format": JSON_FORMAT},
    ],
)
def test_an_answer_is_not_healed_unasked(opened: Stack, more: dict[str, Any]) -> None:
    Said.text, Said.cut = BROKEN, False
    assert ask(opened, **more).json()["choices"][0]["message"]["content"] == BROKEN


def test_an_answer_that_was_cut_off_is_not_healed(opened: Stack) -> None:
    Said.text, Said.cut = '{"port": "Ri', True
    choice = ask(opened, plugins=HEALING, response_format=JSON_FORMAT).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", '{"port": "Ri')


def test_an_answer_that_is_json_keeps_its_text(opened: Stack) -> None:
    Said.text, Said.cut = '{"port":   "Riga"}', False
    choice = ask(opened, plugins=HEALING, response_format=JSON_FORMAT).json()["choices"][0]
    assert choice["message"]["content"] == '{"port":   "Riga"}'


def test_a_stream_passes_as_it_is(opened: Stack) -> None:
    Said.text, Said.cut = BROKEN, False
    assert "```json" in ask(opened, plugins=HEALING, response_format=JSON_FORMAT, stream=True).text


@pytest.mark.parametrize(
    ("plugins", "word"),
    [
        ([{"id": "respnse-healing"}], "response-healing"),
        ([{"name": "web"}], "plugins"),
        ("web", "plugins"),
        ([{"id": 3}], "plugins"),
        ([{"id": "web"}] * 40, "32"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/v1/messages"])
def test_an_unknown_plugin_is_refused_with_the_known_ones(opened: Stack, plugins: Any, word: str, path: str) -> None:
    body = {"model": "openai/gpt-4.1", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    with opened.client as client:
        found = client.post(path, json=body | {"plugins": plugins})
    assert found.status_code == 400
    assert word in found.json()["error"]["message"]


def test_a_plugin_that_nobody_serves_is_reported(opened: Stack) -> None:
    Said.text, Said.cut = "hello", False
    found = ask(opened, plugins=[{"id": "web", "max_results": 3}, *HEALING])
    assert (found.status_code, found.headers["x-portolan-dropped-parameters"]) == (200, "plugins")
