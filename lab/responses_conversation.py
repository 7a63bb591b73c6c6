"""Read from a request to the Responses API what a scripted model needs to know."""

from __future__ import annotations

from typing import Any

from lab.conversation import MARKER, Conversation, OfferedTool, image_described, marker_of

Item = dict[str, Any]


def input_items(body: dict[str, Any]) -> list[Item]:
    """Return the items of the input; a text is a message of the user."""
    found = body.get("input")
    return [{"role": "user", "content": found}] if isinstance(found, str) else list(found or ())


def text_parts(content: Any) -> list[Item]:
    """Return content as parts."""
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else list(content or ())


def read_responses(body: dict[str, Any]) -> Conversation:
    """Read a request."""
    texts: list[str] = [""]
    results: list[str] = []
    images: list[str] = []
    answers = False
    items = input_items(body)
    for item in items:
        is_result = str(item.get("type")).endswith("_call_output")
        parts = text_parts(item.get("output") if is_result else item.get("content"))
        text = "".join(part.get("text") or "" for part in parts)
        if is_result:
            results.append(text)
        elif item.get("role") == "user":
            if answers and not MARKER.search(text):
                # Agents remind the model of something after tool results; only a marker begins another script.
                texts.append(text)
            else:
                texts, results = [text], []
        answers = is_result or (answers and item.get("role") == "user")
        images += [image_described(part.get("image_url") or "") for part in parts if part.get("type") == "input_image"]
    scenario, argument = marker_of(texts)
    reasoning = body.get("reasoning") or {}
    form = (body.get("text") or {}).get("format") or {}
    return Conversation(
        scenario,
        argument,
        _offered_tools(body),
        tuple(results),
        tuple(images),
        (),
        (),
        body.get("max_output_tokens"),
        body.get("parallel_tool_calls") is not False,
        thinks=bool(reasoning.get("summary")) or reasoning.get("effort") not in (None, "none"),
        continues=bool(items) and items[-1].get("role") == "assistant",
        logprobs="message.output_text.logprobs" in (body.get("include") or ()),
        schema=form.get("schema"),
        json_mode=form.get("type") == "json_object",
        prompt=texts[0],
    )


def _offered_tools(body: dict[str, Any]) -> tuple[OfferedTool, ...]:
    """Return the tools that the model may call; those that the vendor runs have no schema."""
    choice = body.get("tool_choice")
    if choice == "none":
        return ()
    tools = [tool for tool in body.get("tools") or () if tool["type"] in ("function", "custom")]
    wanted: set[str] | None = None
    if isinstance(choice, dict):
        wanted = {one.get("name") for one in choice.get("tools", [choice])}
    return tuple(
        OfferedTool(tool["name"], tool.get("parameters") or {}, tool["type"] == "custom")
        for tool in tools
        if wanted is None or tool["name"] in wanted
    )
