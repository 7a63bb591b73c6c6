"""Refuse what OpenAI refuses of a request to the Responses API, with its status and sentences.

Sources of the sentences: as those of ``lab/openai_refusals.py`` and ``lab/responses_history.py``; ranges are those of
``lab/responses_fields.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lab.openai_refusals import DATA_URL, NO_KEY, OpenAIVocabulary, check_image, check_schema, is_base64
from lab.responses_fields import RESPONSES_REQUEST
from lab.responses_history import check_items
from lab.responses_ids import ItemSeals
from lab.responses_models import check_responses_model
from lab.shapes import Path, RequestRefused, check

_JSON_WORD = (
    "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
)


def refuse_responses(body: dict[str, Any], headers: Mapping[str, str], seals: ItemSeals) -> None:
    """Raise ``RequestRefused`` if OpenAI would refuse this request."""
    if not headers.get("authorization") and not headers.get("api-key"):
        raise RequestRefused(NO_KEY, status=401)
    if not body.get("model"):
        raise OpenAIVocabulary().missing(("model",))
    if not body.get("input"):
        raise OpenAIVocabulary().missing(("input",))
    check(RESPONSES_REQUEST, body, (), OpenAIVocabulary())
    _check_state(body)
    check_responses_model(body)
    _check_choice(body)
    _check_formats(body)
    if isinstance(body["input"], list):
        check_items(body["input"], seals, store=body.get("store") is not False)
        for path, part in _media(body["input"]):
            _check_medium(path, part)


def _check_state(body: dict[str, Any]) -> None:
    """Refuse what needs a state that the lab does not keep."""
    previous, conversation = body.get("previous_response_id"), body.get("conversation")
    if previous is not None:
        message = f"Previous response with id '{previous}' not found."
        raise RequestRefused(message, param="previous_response_id", code="previous_response_not_found")
    if conversation is not None:
        name = conversation if isinstance(conversation, str) else conversation.get("id")
        raise RequestRefused(f"Conversation with id '{name}' not found.", status=404, param="conversation")
    if body.get("background"):
        raise RequestRefused("The lab serves no responses in the background. Leave background out.", param="background")
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise RequestRefused(message, param="stream_options")


def _check_choice(body: dict[str, Any]) -> None:
    """Refuse a choice of a tool that is not offered."""
    choice, tools = body.get("tool_choice"), body.get("tools") or []
    if choice == "required" and not tools:
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        raise RequestRefused(message, param="tool_choice")
    if not isinstance(choice, dict):
        return
    wanted = choice["tools"] if choice["type"] == "allowed_tools" else [choice]
    offered = {(tool["type"], tool.get("name")) for tool in tools}
    for one in wanted:
        if (one.get("type"), one.get("name")) not in offered:
            name = one.get("name") or one.get("type")
            raise RequestRefused(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")


def _check_formats(body: dict[str, Any]) -> None:
    """Refuse schemas that are not objects or, in strict mode, not closed, and JSON that nobody speaks of."""
    for index, tool in enumerate(body.get("tools") or ()):
        if tool["type"] == "function" and tool.get("parameters") is not None:
            where, param = f"function '{tool['name']}'", f"tools[{index}].parameters"
            code = "invalid_function_parameters"
            # Without a word on it the vendor makes a schema strict itself.
            check_schema(tool["parameters"], where, param, code, tool.get("strict") is True)
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        where = f"response_format '{form['name']}'"
        check_schema(form["schema"], where, "text.format.schema", "invalid_json_schema", form.get("strict") is True)
    if form.get("type") == "json_object" and "json" not in json.dumps(body["input"]).lower():
        raise RequestRefused(_JSON_WORD, param="input")


def _media(items: list[dict[str, Any]]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, item in enumerate(items):
        for field in ("content", "output"):
            parts = item.get(field)
            for at, part in enumerate(parts if isinstance(parts, list) else ()):
                if isinstance(part, dict) and part.get("type") in ("input_image", "input_file"):
                    yield ("input", index, field, at), part


def _check_medium(path: Path, part: dict[str, Any]) -> None:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    name = "".join(steps).removeprefix(".")
    if part.get("file_id"):
        return
    if part["type"] == "input_image":
        if not part.get("image_url"):
            raise OpenAIVocabulary().missing((*path, "image_url"))
        check_image(f"{name}.image_url", part["image_url"])
        return
    if part.get("file_url"):
        return
    for field in ("filename", "file_data"):
        if not part.get(field):
            raise OpenAIVocabulary().missing((*path, field))
    inline = DATA_URL.match(part["file_data"])
    if inline is None or not is_base64(inline[2]):
        message = (
            f"Invalid '{name}.file_data'. Expected a base64-encoded data URL, but got an invalid base64-encoded value."
        )
        raise RequestRefused(message, param=f"{name}.file_data", code="invalid_value")
