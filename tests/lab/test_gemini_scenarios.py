"""Test that Google's own client plays the scenarios of the lab, streamed and not, at AI Studio and at Vertex AI."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from google import genai
from google.genai import errors, types

from lab.scenarios import SCENARIOS
from tests.lab.google_clients import granted_token, token_form, vertex_client
from tests.lab.scenes import PNG, PNG_BYTES, SCHEMA, SECOND, marked

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
FLASH, PRO, OLD = "gemini-3-flash-preview", "gemini-2.5-pro", "gemini-2.0-flash"
TOOLS: list[Any] = [
    {
        "function_declarations": [
            {"name": "find_port", "description": "Sail", "parameters_json_schema": SCHEMA},
            {"name": "hoist", "description": "Sail", "parameters_json_schema": SECOND},
        ]
    }
]
NO_LOOP: Any = {"disable": True}


def ask(
    client: genai.Client, stream: bool, contents: Any, model: str = FLASH, **config: Any
) -> types.GenerateContentResponse:
    """Return the response; the chunks of a stream are joined as the client's own chats join them."""
    asked = types.GenerateContentConfig(automatic_function_calling=NO_LOOP, **config)
    if not stream:
        return client.models.generate_content(model=model, contents=contents, config=asked)
    chunks = list(client.models.generate_content_stream(model=model, contents=contents, config=asked))
    last = chunks[-1]
    parts = [part for chunk in chunks for part in parts_of(chunk)]
    assert last.candidates
    content = types.Content(role="model", parts=parts)
    candidate = last.candidates[0].model_copy(update={"content": content})
    return last.model_copy(update={"candidates": [candidate]})


def play(client: genai.Client, stream: bool, scenario: str, **config: Any) -> types.GenerateContentResponse:
    """Return the response of ``scenario``."""
    return ask(client, stream, marked(scenario), **config)


def parts_of(response: types.GenerateContentResponse) -> list[types.Part]:
    """Return the parts of the only candidate."""
    found = response.candidates[0].content if response.candidates else None
    return list(found.parts or ()) if found is not None else []


def said(response: types.GenerateContentResponse) -> str:
    """Return the text without thoughts."""
    return "".join(part.text or "" for part in parts_of(response) if not part.thought)


def calls(response: types.GenerateContentResponse) -> list[types.FunctionCall]:
    """Return the calls."""
    return [part.function_call for part in parts_of(response) if part.function_call is not None]


def answer(call: types.FunctionCall, output: str) -> types.Part:
    """Return the response to a call."""
    assert call.name is not None
    found = types.Part.from_function_response(name=call.name, response={"output": output})
    assert found.function_response is not None
    found.function_response.id = call.id
    return found


@STREAMED
def test_text_is_said_and_signed(google: genai.Client, stream: bool) -> None:
    found = play(google, stream, "text")
    assert found.candidates and found.candidates[0].finish_reason == types.FinishReason.STOP
    usage = found.usage_metadata
    assert usage is not None and usage.candidates_token_count == len(said(found).split())
    assert usage.thoughts_token_count and usage.total_token_count == (
        (usage.prompt_token_count or 0) + usage.candidates_token_count + usage.thoughts_token_count
    )
    assert any(part.thought_signature for part in parts_of(found))
    assert not any(part.thought_signature for part in parts_of(play(google, stream, "text", model=PRO)))


@STREAMED
@pytest.mark.parametrize(
    ("model", "thinking"), [(FLASH, {"thinking_level": "HIGH"}), (PRO, {"thinking_budget": 1024})], ids=[FLASH, PRO]
)
def test_thoughts_are_shown_where_that_is_asked_for(
    google: genai.Client, stream: bool, model: str, thinking: dict[str, Any]
) -> None:
    shown = play(google, stream, "thinking", model=model, thinking_config=thinking | {"include_thoughts": True})
    assert any(part.thought and part.text for part in parts_of(shown)) and said(shown)
    hidden = play(google, stream, "thinking", model=model, thinking_config=thinking)
    assert not any(part.thought for part in parts_of(hidden))
    assert hidden.usage_metadata is not None and hidden.usage_metadata.thoughts_token_count


@STREAMED
def test_tools_are_called_and_their_results_quoted(google: genai.Client, stream: bool) -> None:
    history: list[Any] = [types.UserContent(marked("tool_loop:2"))]
    for turn, schema in enumerate((SCHEMA, SECOND)):
        found = ask(google, stream, history, tools=TOOLS)
        (call,) = calls(found)
        assert call.name == ("find_port", "hoist")[turn] and call.id
        jsonschema_rs.validator_for(schema).validate(json.loads(json.dumps(call.args)))
        history += [found.candidates[0].content, types.UserContent([answer(call, f"result {turn}")])]  # type: ignore[index]
    final = said(ask(google, stream, history, tools=TOOLS))
    assert '"result 0"' in final and '"result 1"' in final


@STREAMED
def test_parallel_calls_have_one_signature_and_all_responses_in_one_turn(google: genai.Client, stream: bool) -> None:
    found = play(google, stream, "parallel_tools", tools=TOOLS)
    signed = [bool(part.thought_signature) for part in parts_of(found) if part.function_call]
    assert signed == [True, False]
    answers = [answer(call, "ok") for call in calls(found)]
    history: list[Any] = [types.UserContent(marked("parallel_tools")), found.candidates[0].content]  # type: ignore[index]
    again = ask(google, stream, [*history, types.UserContent([*answers, types.Part(text=marked("text"))])], tools=TOOLS)
    assert said(again)
    with pytest.raises(errors.ClientError, match="number of function response parts"):
        ask(google, stream, [*history, types.UserContent(answers[:1])], tools=TOOLS)


def test_the_client_calls_functions_by_itself(google: genai.Client) -> None:
    """The client sends its own history back, with signatures and ids, until the model answers."""
    asked: list[str] = []

    def tide(place: str) -> str:
        """Tell the tide."""
        asked.append(place)
        return f"high at {place}"

    config = types.GenerateContentConfig(tools=[tide])
    found = google.models.generate_content(model=FLASH, contents=marked("tool_loop:2"), config=config)
    assert len(asked) == 2 and f"high at {asked[0]}" in (found.text or "")


def test_a_chat_of_the_client_goes_on(google: genai.Client) -> None:
    chat = google.chats.create(model=FLASH)
    assert chat.send_message(marked("text")).text
    pieces = list(chat.send_message_stream(marked("thinking")))
    assert "".join(piece.text or "" for piece in pieces)
    assert chat.send_message(marked("text")).text and chat.get_history()[-1].role == "model"


@STREAMED
def test_images_are_read_and_made(google: genai.Client, stream: bool) -> None:
    image = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    seen = ask(google, stream, [types.UserContent([types.Part(text=marked("image")), image])])
    assert f"image/png of {PNG_BYTES} bytes" in said(seen)
    drawn = play(google, stream, "draw", model="gemini-2.5-flash-image", response_modalities=["TEXT", "IMAGE"])
    (blob,) = [part.inline_data for part in parts_of(drawn) if part.inline_data]
    assert blob.mime_type == "image/png" and blob.data is not None and blob.data.startswith(b"\x89PNG")


@STREAMED
def test_searches_ground_the_text(google: genai.Client, stream: bool) -> None:
    found = play(google, stream, "hosted", tools=[{"google_search": {}}])
    grounding = found.candidates[0].grounding_metadata if found.candidates else None
    assert grounding is not None and grounding.web_search_queries == ["tide tables"]
    (support,), (chunk,) = grounding.grounding_supports or [], grounding.grounding_chunks or []
    assert support.segment is not None and chunk.web is not None and chunk.web.uri
    assert said(found).encode()[support.segment.start_index or 0 : support.segment.end_index].decode() == said(found)


@STREAMED
def test_ends_that_are_no_success(google: genai.Client, stream: bool) -> None:
    short = play(google, stream, "length", max_output_tokens=5, thinking_config={"thinking_level": "LOW"})
    assert short.candidates and short.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    unsafe = play(google, stream, "refusal")
    assert unsafe.candidates and unsafe.candidates[0].finish_reason == types.FinishReason.SAFETY
    assert not parts_of(unsafe) and unsafe.candidates[0].safety_ratings
    blocked = google.models.generate_content(model=FLASH, contents=marked("blocked"))
    assert blocked.prompt_feedback is not None and not blocked.candidates
    assert blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT


@STREAMED
def test_structured_output_and_log_probabilities(google: genai.Client, stream: bool) -> None:
    found = play(
        google, stream, "structured", response_mime_type="application/json", response_json_schema=SECOND, model=PRO
    )
    assert json.loads(said(found)) == {"flag": True}
    likely = google.models.generate_content(
        model=OLD, contents=marked("text"), config={"response_logprobs": True, "logprobs": 3}
    )
    result = likely.candidates[0].logprobs_result if likely.candidates else None
    assert result is not None and result.chosen_candidates and result.top_candidates
    assert "".join(one.token or "" for one in result.chosen_candidates) == likely.text
    assert all(len(one.candidates or ()) == 3 for one in result.top_candidates)


def test_failures_before_and_within_a_response(google: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        play(google, False, "error_before:429")
    with pytest.raises(errors.ServerError):
        play(google, False, "error_mid")
    with pytest.raises(errors.APIError):
        play(google, True, "error_mid")


@pytest.mark.parametrize("scenario", ["pause_turn", "failed"])
def test_what_the_format_cannot_say_is_refused(google: genai.Client, scenario: str) -> None:
    assert scenario in SCENARIOS
    with pytest.raises(errors.ClientError):
        play(google, False, scenario)


def test_without_a_marker_the_model_draws_a_text_or_a_call(google: genai.Client) -> None:
    plain = google.models.generate_content(
        model=FLASH, contents="Name a wind.", config={"system_instruction": "Be brief."}
    )
    assert plain.text and plain.usage_metadata is not None and plain.usage_metadata.prompt_token_count == 5
    assert calls(ask(google, False, "Name a wind.", tools=TOOLS))[0].name == "find_port"


def test_the_client_writes_whole_numbers_as_decimals(google: genai.Client) -> None:
    found = google.models.generate_content(model=FLASH, contents=marked("text"), config={"top_k": 40, "seed": 7})
    assert found.text


def test_prompts_in_common_are_cached(google: genai.Client) -> None:
    turns: list[Any] = [types.UserContent("Tell me of the tides. " * 400)]
    ask(google, False, turns)
    usage = ask(google, False, [*turns, types.ModelContent("High."), types.UserContent("And now?")]).usage_metadata
    assert usage is not None and 0 < (usage.cached_content_token_count or 0) <= (usage.prompt_token_count or 0)


@pytest.mark.parametrize("stream", [False, True])
def test_vertex_takes_a_token_of_the_lab_alone(quiet_lab_url: str, stream: bool) -> None:
    for token, works in ((granted_token(quiet_lab_url), True), ("another", False)):
        with vertex_client(quiet_lab_url, token) as client:
            if works:
                assert said(play(client, stream, "text"))
            else:
                with pytest.raises(errors.ClientError, match="UNAUTHENTICATED"):
                    play(client, stream, "text")
    refused = httpx2.post(f"{quiet_lab_url}/_google/token", data=token_form("none"))
    assert refused.status_code == 400 and refused.json()["error"] == "invalid_grant"


def test_models_are_listed_as_google_lists_them(google: genai.Client) -> None:
    names = [one.name for one in google.models.list()]
    assert "models/gemini-2.5-pro" in names
