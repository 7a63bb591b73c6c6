"""Test that the lab's chat of Cohere refuses scenarios which Cohere's wire format does not have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.scenes import HTTP, marked


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("scenario", "unsaid"),
    [("blocked", "a prompt that is blocked"), ("draw", "an image that the model has made")],
)
def test_a_scenario_of_another_format_is_refused(quiet_lab_url: str, scenario: str, unsaid: str, stream: bool) -> None:
    messages = [{"role": "user", "content": marked(scenario)}]
    body: dict[str, Any] = {"model": "command-a-03-2025", "messages": messages, "stream": stream}
    found = HTTP.post(f"{quiet_lab_url}/cohere/v2/chat", json=body, headers={"authorization": "Bearer key"})
    expected = f"The scenario '{scenario}' shows {unsaid}, which this wire format does not have."
    assert (found.status_code, found.json()["message"]) == (400, expected)
