"""The golden fixtures' requests become the bodies that the vendor documents."""

from __future__ import annotations

import json

import pytest

from router_service.core.errors import ApiError
from tests.router_service.providers.formats.anthropic_messages.messages_world import encode, endpoint, from_chat
from tests.wire_cases import WireCase, load_cases

DOCUMENTED = [case for case in load_cases("anthropic_messages") if case.documented_request is not None]
# A system turn among the others stays in its place now; the fixture moves it to the front.
MOVED = {"turns_joined"}
# The vendor refuses a mark of an hour after one of five minutes, so both last an hour; the fixture sends them mixed.
MIXED_LIFETIMES = {"cache_marks"}
CASES = [case for case in DOCUMENTED if case.name not in MOVED | MIXED_LIFETIMES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_documented_body(case: WireCase) -> None:
    """The body of a fixture's request equals the documented one."""
    encoded = encode(from_chat(case.request), endpoint(case.endpoint.upstream_model))
    assert json.loads(encoded.request.body) == case.documented_request


def _body(name: str) -> dict[str, object]:
    case = next(case for case in DOCUMENTED if case.name == name)
    found: dict[str, object] = json.loads(encode(from_chat(case.request)).request.body)
    return found


def test_the_fixture_with_a_later_system_turn() -> None:
    """A system turn after the first other turn is a user turn in its place."""
    body = _body("turns_joined")
    assert "system" not in body
    assert [(t["role"], [b["text"] for b in t["content"]]) for t in body["messages"]] == [  # type: ignore[attr-defined]
        ("user", ["One.", "Two."]),
        ("assistant", ["Three."]),
        ("user", ["Be brief.", "Four."]),
        ("assistant", ["Fi"]),
    ]


def test_the_fixture_with_mixed_lifetimes() -> None:
    """A mark of an hour makes those before it last an hour."""
    body = _body("cache_marks")
    hour = {"type": "ephemeral", "ttl": "1h"}
    assert body["system"][0]["cache_control"] == hour  # type: ignore[index]
    assert body["messages"][0]["content"][0]["cache_control"] == hour  # type: ignore[index]


def test_audio_is_refused_with_a_sentence() -> None:
    """Audio, which the format does not have, is told to the client."""
    case = next(case for case in load_cases("anthropic_messages") if case.name == "audio_in")
    with pytest.raises(ApiError, match="takes no audio input; remove the audio part") as raised:
        encode(from_chat(case.request))
    assert raised.value.code == 400


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        (
            "dropped_parameters",
            (
                *("frequency_penalty", "logit_bias", "logprobs", "prediction"),
                *("presence_penalty", "seed", "store", "top_logprobs", "verbosity"),
            ),
        ),
        ("router_fields", ("transforms",)),
        ("several_choices", ("n",)),
        ("sampling_both", ("top_p",)),
        ("stop_blank", ("stop",)),
        ("thinking_sampling", ("temperature", "top_p")),
        ("thinking_tool_choice", ("tool_choice",)),
        ("thinking_history_missing", ("reasoning",)),
        ("plain_text", ()),
    ],
)
def test_dropped_parameters_of_fixtures(name: str, dropped: tuple[str, ...]) -> None:
    """Test that what a fixture's request asks for in vain is reported, and nothing else."""
    case = next(case for case in load_cases("anthropic_messages") if case.name == name)
    encoded = encode(from_chat(case.request))
    assert encoded.dropped == tuple(sorted(dropped))
