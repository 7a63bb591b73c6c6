"""Measure how long legal bodies of several megabytes block the event loop: ``python -m benchmarks.loop_blocks``.

Each body is sent through each client API to a provider of each wire format. A cell is the longest block of all these
pairs, as ``tests/fuzz/loop_meter.py`` measures it.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tables import write_between
from tests.fuzz.hostile_bodies import CHAT, MESSAGES, RESPONSES
from tests.fuzz.loop_meter import FORMATS, longest_block_ms, metered_router

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
MEGABYTES = (0.1, 1.0, 4.0, 16.0)
AIM_MS = 5.0
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "\n", "naïve", '"quoted"')
IMAGE_BYTES = 750_000
MAX_TOOLS_BYTES = 1_000_000
ROUTE = {"model": "test/all", "max_tokens": 5}
_draw = random.Random(19)
PARAGRAPH = " ".join(_draw.choice(WORDS) for _ in range(2_000)) + "\n"


def text(size: int) -> str:
    """Return a text of about ``size`` bytes of JSON."""
    size = max(1, size * 9 // 10)
    return (PARAGRAPH * (size // len(PARAGRAPH) + 1))[:size]


def image(size: int) -> str:
    """Return base64 data of about ``size`` bytes."""
    return base64.b64encode(_draw.randbytes(size * 3 // 4)).decode()


# What a conversation consists of, in terms of the chat API: texts, images, calls and results.
Turns = list[dict[str, Any]]


def one_text(size: int) -> Turns:
    """Return one message of one long text."""
    return [{"role": "user", "content": text(size)}]


def many_messages(size: int) -> Turns:
    """Return turns of users and assistants in turn."""
    count = max(2, min(8_000, size // 500))
    said = text(size // count)
    return [{"role": ("user", "assistant")[number % 2], "content": said} for number in range(count - 1 + count % 2)]


def many_parts(size: int) -> Turns:
    """Return one message of many text parts."""
    count = max(2, min(8_000, size // 500))
    said = text(size // count)
    return [{"role": "user", "content": [{"type": "text", "text": said}] * count}]


def images(size: int) -> Turns:
    """Return one message with images as base64."""
    one = min(size, IMAGE_BYTES)
    url = {"url": "data:image/png;base64," + image(one)}
    return [{"role": "user", "content": [{"type": "image_url", "image_url": url}] * (size // one)}]


def tool_history(size: int) -> Turns:
    """Return a conversation of an agent: calls and their results."""
    count = max(1, min(1_900, size // 3_000))
    said, turns = text(size // count - 300), [{"role": "user", "content": "go on"}]
    for number in range(count):
        called = {"name": "read", "arguments": json.dumps({"path": f"src/file_{number}.py", "lines": [1, 2, 3]})}
        call = {"id": f"call_{number}", "type": "function", "function": called}
        turns.append({"role": "assistant", "content": "I read the file.", "tool_calls": [call]})
        turns.append({"role": "tool", "tool_call_id": f"call_{number}", "content": said})
    return turns


def tools(size: int) -> Turns:
    """Return a short message; the tools are as large as they may be."""
    return one_text(max(1, size - MAX_TOOLS_BYTES))


KINDS = {
    "one text": one_text,
    "messages": many_messages,
    "text parts": many_parts,
    "images": images,
    "calls and results": tool_history,
    "1 MB of tools and a text": tools,
}


def tool_list(size: int) -> list[dict[str, Any]]:
    """Return functions with parameters, in terms of the chat API."""
    found, count = [], max(1, min(size, MAX_TOOLS_BYTES) // 1_000)
    for number in range(min(count, 1_000)):
        names = [f"p{place}" for place in range(8)]
        properties = {
            name: {"type": "string", "description": "What this parameter means to the tool."} for name in names
        }
        schema = {"type": "object", "properties": properties, "required": names[:2]}
        function = {"name": f"tool_{number}", "description": "Do something." * 5, "parameters": schema}
        found.append({"type": "function", "function": function})
    return found


def bodies(kind: str, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the body of one kind for each client API."""
    turns = KINDS[kind](size)
    listed = tool_list(size) if kind.startswith("1 MB of tools") else []
    yield CHAT, _json(ROUTE | {"messages": turns} | ({"tools": listed} if listed else {}))
    functions = [tool["function"] for tool in listed]
    as_messages = [{"name": one["name"], "input_schema": one["parameters"]} for one in functions]
    body = ROUTE | {"messages": list(map(_messages_turn, turns))}
    yield MESSAGES, _json(body | ({"tools": as_messages} if listed else {}))
    as_responses = [{"type": "function", "strict": False, **one} for one in functions]
    body = {"model": ROUTE["model"], "input": [item for turn in turns for item in _items(turn)]}
    yield RESPONSES, _json(body | ({"tools": as_responses} if listed else {}))


def _messages_turn(turn: dict[str, Any]) -> dict[str, Any]:
    if turn["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": turn["tool_call_id"], "content": turn["content"]}
        return {"role": "user", "content": [result]}
    if calls := turn.get("tool_calls"):
        uses = [
            {"type": "tool_use", "id": one["id"], "name": one["function"]["name"],
             "input": json.loads(one["function"]["arguments"])}
            for one in calls
        ]  # fmt: skip
        return {"role": "assistant", "content": [{"type": "text", "text": turn["content"]}, *uses]}
    return {"role": turn["role"], "content": _mapped(turn["content"], _messages_part)}


def _messages_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    data = part["image_url"]["url"].partition(",")[2]
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def _items(turn: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if turn["role"] == "tool":
        yield {"type": "function_call_output", "call_id": turn["tool_call_id"], "output": turn["content"]}
        return
    yield {"role": turn["role"], "content": _mapped(turn["content"], _responses_part)}
    for one in turn.get("tool_calls", ()):
        yield {"type": "function_call", "call_id": one["id"], **one["function"]}


def _responses_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    return {"type": "input_image", "image_url": part["image_url"]["url"]}


def _mapped(content: Any, write: Any) -> Any:
    return content if isinstance(content, str) else list(map(write, content))


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def measure(
    sizes: list[float], kinds: list[str], formats: list[str], rounds: int, *, verbose: bool
) -> dict[tuple[str, float], tuple[float, str]]:
    """Return the longest block in milliseconds by kind and megabytes, and the pair that it was measured of.

    Of ``rounds`` the shortest counts: what else runs on the machine only lengthens a block.
    """
    found: dict[tuple[str, float], tuple[float, str]] = {}
    with tempfile.TemporaryDirectory() as folder, metered_router(Path(folder)) as client:
        for kind in kinds:
            for size in sizes:
                for path, body in bodies(kind, int(size * 1e6)):
                    for wire_format in formats:
                        # The route in the client's words, so that each provider gets it.
                        sent = b'{"provider":{"only":["%b"]},' % wire_format.encode() + body[1:]
                        measured = [longest_block_ms(client, path, sent) for _ in range(rounds)]
                        response, pair = measured[0][0], f"{path.removeprefix('/api/v1/')} to {wire_format}"
                        if response.status_code not in (200, 502):
                            sys.exit(f"{kind}, {size:g} MB, {pair}: {response.status_code} {response.text[:300]}")
                        blocked = min(one for _, one in measured)
                        found[kind, size] = max(found.get((kind, size), (0.0, "")), (blocked, pair))
                        if verbose:
                            print(f"{kind:26} {len(sent) / 1e6:6.2f} MB {pair:42} {blocked:7.1f} ms", flush=True)
    return found


def report(found: dict[tuple[str, float], tuple[float, str]], sizes: list[float], kinds: list[str]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| body | " + " | ".join(f"{size:g} MB" for size in sizes) + " | longest of |"
    yield "| --- |" + " ---: |" * len(sizes) + " --- |"
    for kind in kinds:
        longest = max(found[kind, size] for size in sizes)
        yield f"| {kind} | " + " | ".join(f"{found[kind, size][0]:.1f} ms" for size in sizes) + f" | {longest[1]} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, nargs="+", default=list(MEGABYTES))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the table into docs/speed.md")
    given = parser.parse_args()
    found = measure(given.megabytes, given.kinds, given.formats, given.rounds, verbose=given.verbose)
    lines = "\n".join(report(found, given.megabytes, given.kinds))
    print(lines)
    if given.write:
        write_between(PAGE, "<!-- large bodies", lines)


if __name__ == "__main__":
    main()
