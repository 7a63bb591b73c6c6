"""Make bodies that are costly to read for their size."""

from __future__ import annotations

from collections.abc import Iterator

CHAT, MESSAGES, RESPONSES = "/api/v1/chat/completions", "/api/v1/messages", "/api/v1/responses"
COMPLETIONS, PREVIEW = "/api/v1/completions", "/api/v1/route/preview"
EMBEDDINGS, RERANK, IMAGES = "/api/v1/embeddings", "/api/v1/rerank", "/api/v1/images"
HEAD = b'{"model":"test/all","max_tokens":5,"provider":{"order":["openai_chat","gemini"]}'
TURN = b'{"role":"user","content":"hi"}'


def hostile_bodies(size: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield the name, the path and the body of requests of about ``size`` bytes."""
    for name, path, field, unit in _UNITS:
        yield name, path, _with(field, _list_of(unit, size))
    for name, unit in _STRINGS:
        text = b'"' + unit * (size // len(unit)) + b'"'
        for path, field in ((CHAT, b"messages"), (MESSAGES, b"messages"), (RESPONSES, b"input")):
            yield f"{name} in {path}", path, _with(field, b'[{"role":"user","content":' + text + b"}]")
    text = b'"' + b"a" * size + b'"'
    yield "a text as prompt", COMPLETIONS, _with(b"prompt", text)
    yield "a text to embed", EMBEDDINGS, _with(b"input", text)
    yield "a text in a field of its own", CHAT, _with(b"x", text, also=b'"messages":[' + TURN + b"]")
    yield "fields of the body", CHAT, _fields(size)
    yield "fields of a message", CHAT, _with(b"messages", b"[" + _fields(size) + b"]")
    yield "fields of an unknown field", CHAT, _with(b"x", _fields(size), also=b'"messages":[' + TURN + b"]")
    called = b'{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":%b}]}'
    yield "fields of a tool's input", MESSAGES, _with(b"messages", b"[" + called % _fields(size) + b"]")
    yield (
        "numbers of a tool's input",
        MESSAGES,
        _with(b"messages", b"[" + called % (b'{"a":%b}' % _list_of(b"1", size)) + b"]"),
    )
    yield "brackets that open", CHAT, b"[" * size
    yield "brackets that open and close", CHAT, b"[" * (size // 2) + b"]" * (size // 2)
    yield "deep pairs", CHAT, _with(b"messages", _list_of(b"[" * 150 + b"]" * 150, size))
    yield "digits", CHAT, _with(b"messages", b"9" * size)
    yield "spaces", CHAT, b" " * size + b"{}"
    yield "spaces between turns", CHAT, _with(b"messages", b"[" + b" " * size + TURN + b"]")
    yield "quotes", CHAT, b'"' * size
    yield "backslashes", CHAT, _with(b"messages", b'["' + b"\\" * size + b'"]')
    yield "bytes that are not UTF-8 at the end", CHAT, _with(b"messages", b'["' + b"a" * size + b'\xff"]')
    arguments = b'{"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":%b}}]}'
    yield "fields of arguments", CHAT, _with(b"messages", b"[" + arguments % _fields(size) + b"]")
    escaped = b'"{' + b'\\"a\\":1,' * (size // 8) + b'\\"a\\":1}"'
    yield "fields of arguments as a text", CHAT, _with(b"messages", b"[" + arguments % escaped + b"]")


_UNITS = (
    ("turns", CHAT, b"messages", TURN),
    ("turns of messages", MESSAGES, b"messages", TURN),
    ("turns of responses", RESPONSES, b"input", TURN),
    ("empty objects as turns", CHAT, b"messages", b"{}"),
    ("numbers as turns", CHAT, b"messages", b"1"),
    ("empty lists as turns", CHAT, b"messages", b"[]"),
    ("empty texts as turns", CHAT, b"messages", b'""'),
    ("numbers as input", RESPONSES, b"input", b"1"),
    ("tools", CHAT, b"tools", b'{"function":{"name":"f"}}'),
    ("prompts", COMPLETIONS, b"prompt", b'"a"'),
    ("tokens of a prompt", COMPLETIONS, b"prompt", b"1"),
    ("texts to embed", EMBEDDINGS, b"input", b'"a"'),
    ("tokens to embed", EMBEDDINGS, b"input", b"1"),
    ("lists of tokens to embed", EMBEDDINGS, b"input", b"[1]"),
    ("documents", RERANK, b"documents", b'"a"'),
    ("documents as objects", RERANK, b"documents", b'{"text":"a"}'),
    ("references of an image", IMAGES, b"input_references", b'{"type":"image_url","image_url":{"url":"a"}}'),
    ("numbers of an unknown field", CHAT, b"x", b"1"),
    ("turns to preview", PREVIEW, b"messages", TURN),
)
_STRINGS = (
    ("plain text", b"a"),
    ("escaped line ends", b"\\n"),
    ("escaped letters", b"\\u00e9"),
    ("escaped pairs", b"\\ud83d\\ude00"),
    ("quotes in text", b'\\"'),
    ("letters of two bytes", "é".encode()),
    ("letters of four bytes", "😀".encode()),
    ("brackets in text", b"["),
)


def _with(field: bytes, value: bytes, *, also: bytes = b"") -> bytes:
    return HEAD + (b"," + also if also else b"") + b',"' + field + b'":' + value + b"}"


def _list_of(unit: bytes, size: int) -> bytes:
    return b"[" + b",".join([unit] * (size // (len(unit) + 1))) + b"]"


def _fields(size: int) -> bytes:
    return b"{" + b",".join(b'"f%07d":1' % number for number in range(size // 13)) + b"}"
