"""Test a conversation that edits its own pictures over Gemini, with OpenRouter's SDK, which validates every shape."""

from __future__ import annotations

from typing import Any

import openrouter
import pytest
from openrouter.utils import RetryConfig

from lab.scenarios import CHART
from tests.clients.served import PDF, PNG, WAV, asking
from tests.conftest import Stack

pytestmark = [pytest.mark.slow, pytest.mark.client("openrouter for Python")]
IMAGE_MODEL, FLASH = "google/gemini-3.1-flash-image-preview", "google/gemini-3-flash-preview"


def test_pictures_are_edited_turn_by_turn(strict_stack: Stack) -> None:
    """The message is sent back as the SDK has it: its picture and the signature of the picture are accepted."""
    strict_stack.lab.refused.clear()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    turns: list[Any] = [{"role": "user", "content": [picture, {"type": "text", "text": asking("draw")}]}]
    with opened_sdk(strict_stack) as client:
        for _ in range(3):
            wishes: Any = {"modalities": ["image", "text"], "image_config": {"aspect_ratio": "16:9"}}
            message = client.chat.send(model=IMAGE_MODEL, messages=turns, **wishes).choices[0].message
            (image,) = message.images
            assert image.image_url.url == f"data:image/png;base64,{CHART}"
            turns += [message, {"role": "user", "content": asking("draw")}]
    assert not strict_stack.lab.refused


def test_audio_and_files_are_taken(strict_stack: Stack) -> None:
    strict_stack.lab.refused.clear()
    content: Any = [
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        {"type": "file", "file": {"filename": "chart.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
        {"type": "text", "text": asking("text")},
    ]
    with opened_sdk(strict_stack) as client:
        answer = client.chat.send(model=FLASH, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content
    assert not strict_stack.lab.refused


def opened_sdk(stack: Stack) -> openrouter.OpenRouter:
    """Return a client that does not try again."""
    retries = RetryConfig("none", None, False)
    return openrouter.OpenRouter(server_url=f"{stack.url}/api/v1", api_key=stack.key, retry_config=retries)
