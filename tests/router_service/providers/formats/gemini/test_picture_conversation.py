"""Test a conversation that edits its own pictures: what Google is sent at each turn, in front of a strict lab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from lab.scenarios import CHART
from tests.clients.served import PDF, PNG, WAV, asking
from tests.conftest import Stack, open_stack
from tests.router_service.conversation.recording_lab import RecordingLab

IMAGE_MODEL, FLASH = "google/gemini-3.1-flash-image-preview", "google/gemini-3-flash-preview"
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, RecordingLab]]:
    lab = RecordingLab(time_scale=0.0, faults=False, strict=True)
    with open_stack(tmp_path_factory.mktemp("pictures"), lab) as stack:
        yield stack, lab


def send(stack: Stack, stream: bool, **body: Any) -> dict[str, Any]:
    """Return the message of an answer, as the SDK has it."""
    answer: Any
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as client:
        if stream:
            with client.chat.completions.stream(**body) as events:
                answer = events.get_final_completion()
        else:
            answer = client.chat.completions.create(**body)
    message: dict[str, Any] = answer.choices[0].message.model_dump(exclude_none=True, exclude={"parsed": True})
    return message


def parts_of(lab: RecordingLab, role: str) -> list[dict[str, Any]]:
    """Return what the last request had of ``role``."""
    contents = lab.exchanges[-1].body["contents"]
    return [part for content in contents if content["role"] == role for part in content["parts"]]


@WAYS
def test_pictures_are_edited_turn_by_turn(world: tuple[Stack, RecordingLab], stream: bool) -> None:
    """Each picture goes back as the provider has made it, with its signature, and the wishes hold at every turn."""
    stack, lab = world
    lab.refused.clear()
    wishes = {"modalities": ["image", "text"], "image_config": {"aspect_ratio": "16:9", "image_size": "2K"}}
    turns: list[dict[str, Any]] = []
    signatures: list[str] = []
    for turn in range(3):
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        shown = [picture] if turn == 0 else []
        turns.append({"role": "user", "content": [*shown, {"type": "text", "text": asking("draw")}]})
        message = send(stack, stream, model=IMAGE_MODEL, messages=turns, extra_body=wishes)
        (image,) = message["images"]
        assert image["image_url"]["url"] == f"data:image/png;base64,{CHART}"
        turns.append(message)
        config = lab.exchanges[-1].body["generationConfig"]
        assert sorted(config["responseModalities"]) == ["IMAGE", "TEXT"]
        assert config["imageConfig"] == {"aspectRatio": "16:9", "imageSize": "2K"}
        drawn = [part for part in parts_of(lab, "model") if "inlineData" in part]
        assert [part["inlineData"]["data"] for part in drawn] == [CHART] * turn
        assert [part["thoughtSignature"] for part in drawn] == signatures
        signatures += re.findall(r'"thoughtSignature": ?"([^"]+)"', lab.exchanges[-1].answer.decode())
        assert len(signatures) == turn + 1
        given = [part["inlineData"]["data"] for part in parts_of(lab, "user") if "inlineData" in part]
        assert given == [PNG]
    assert not lab.refused


@WAYS
def test_audio_and_files_are_heard_and_read(world: tuple[Stack, RecordingLab], stream: bool) -> None:
    """They stay in the conversation, and the provider gets them unchanged at the next turn."""
    stack, lab = world
    lab.refused.clear()
    content = [
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        {"type": "file", "file": {"filename": "chart.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
        {"type": "text", "text": asking("text")},
    ]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    for _ in range(2):
        message = send(stack, stream, model=FLASH, messages=turns)
        assert message["content"]
        media = [part["inlineData"] for part in parts_of(lab, "user") if "inlineData" in part]
        assert [(one["mimeType"], one["data"]) for one in media] == [("audio/wav", WAV), ("application/pdf", PDF)]
        turns += [message, {"role": "user", "content": asking("text")}]
    assert not lab.refused
