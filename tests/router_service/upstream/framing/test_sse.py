"""Test the framing of server-sent events: any cut gives the same events, and none exceeds the limit in memory."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router_service.core.errors import ApiError
from router_service.upstream.framing.sse import LONG_LINE, Event, EventParser

MIB = 1024 * 1024


def parsed(*chunks: bytes, limit: int = MIB) -> list[Event]:
    """Return the events of a stream that arrives in ``chunks`` and ends."""
    parser = EventParser(limit)
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    return found + parser.finish()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b'data: {"a":1}\n\ndata: {"b":2}\n\n', [(None, b'{"a":1}'), (None, b'{"b":2}')]),
        (b"data: one line\r\n\r\n", [(None, b"one line")]),
        (b"data: one line\r\r", [(None, b"one line")]),
        (b"data: first\rdata: second\r\ndata: third\n\n", [(None, b"first\nsecond\nthird")]),
        (b"data:no space\n\n", [(None, b"no space")]),
        (b"data:  two spaces\n\n", [(None, b" two spaces")]),
        (b"data: a: b\n\n", [(None, b"a: b")]),
        (b"data\ndata\n\n", []),
        (b"data\ndata: after an empty line\n\n", [(None, b"\nafter an empty line")]),
        (
            b"event: named\ndata: content\n\ndata: without a name\n\n",
            [("named", b"content"), (None, b"without a name")],
        ),
        (b"event: first\nevent: last\ndata: content\n\n", [("last", b"content")]),
        (b"data: content\nevent: after\n\n", [("after", b"content")]),
        (b"event: dropped\n\ndata: without a name\n\n", [(None, b"without a name")]),
        (b"event\ndata: empty name\n\n", [(None, b"empty name")]),
        (b"event: \xff\ndata: content\n\n", [("\ufffd", b"content")]),
        (b": comment\n\n:\n\ndata: content\n: inside\n\n", [(None, b"content")]),
        (b"id: 7\nretry: 10\nunknown: x\nnonsense\ndata: content\n\n", [(None, b"content")]),
        (b"DATA: wrong case\n\ndatax: wrong name\n\n data: indented\n\n", []),
        (b"\xef\xbb\xbfdata: after the mark\n\n", [(None, b"after the mark")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: one mark alone is dropped\n\n", []),
        (b"\n\n\n\ndata: after blank lines\n\n\n\n", [(None, b"after blank lines")]),
        (b"data: without a blank line\n", [(None, b"without a blank line")]),
        (b"data: without an end", [(None, b"without an end")]),
        (b"", []),
        (b'error: {"code":500}\n\ndata: [DONE]\n\n', [(None, b'{"error":{"code":500}}'), (None, b"[DONE]")]),
        (b'error: no "slot"\xff\n\n', [(None, '{"error":"no \\"slot\\"\ufffd"}'.encode())]),
        (b'{"error":{"code":500}}', [(None, b'{"error":{"code":500}}')]),
        (
            b'data: a\n\n{\n  "error": {\n\t"code": 500\n  }\n}\n',
            [(None, b"a"), (None, b'{\n  "error": {\n\t"code": 500\n  }\n}')],
        ),
    ],
)
def test_a_stream_has_the_same_events_wherever_it_is_cut(stream: bytes, events: list[Event]) -> None:
    assert parsed(stream) == events
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == events
    for cut in range(1, len(stream)):
        assert parsed(stream[:cut], stream[cut:]) == events


@pytest.mark.parametrize(
    "void", [b"data:", b"data: ", b"data: null", b"data:null", b"data\ndata", b"event: x\ndata: null"]
)
def test_an_event_without_content_is_ignored(void: bytes) -> None:
    stream = b"data: before\n\n" + void + b"\n\ndata: after\n\n"
    assert parsed(stream) == [(None, b"before"), (None, b"after")]
    assert parsed(stream.replace(b"\n", b"\r\n")) == [(None, b"before"), (None, b"after")]


def test_data_that_only_begin_like_null_are_kept() -> None:
    assert [data for _, data in parsed(b"data: nullable\n\ndata: 0\n\ndata: {}\n\n")] == [b"nullable", b"0", b"{}"]


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                (b"data: \xe2\x9a\x93", b"data:x", b"data", b"event: e", b": c", b"id: 1", b"data: null", b"data: ")
            ),
            max_size=4,
        ),
        max_size=5,
    ),
    st.lists(st.sampled_from((b"\n", b"\r\n", b"\r")), min_size=1, max_size=3),
    st.lists(st.integers(0, 80), max_size=8),
    st.booleans(),
)
@example([[b"data: \xe2\x9a\x93"]], [b"\r\n"], [7, 8, 10], True)
def test_cuts_and_line_ends_change_nothing(
    blocks: list[list[bytes]], ends: list[bytes], cuts: list[int], mark: bool
) -> None:
    lines = [line for block in blocks for line in (*block, b"")]
    # A carriage return directly before a line feed would be one line end instead of two.
    mixed = b"".join(line + ends[i % len(ends)] if line else b"\r\n" for i, line in enumerate(lines))
    plain = b"".join(line + b"\n" for line in lines)
    stream = (b"\xef\xbb\xbf" if mark else b"") + mixed
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert parsed(*filter(None, pieces)) == parsed(plain)


def test_an_event_of_9_mib_passes_in_small_pieces() -> None:
    image = b"data: " + b"i" * 9 * MIB
    stream = b"data: before\n\n" + image + b"\n\ndata: after\n\n"
    pieces = [stream[i : i + 16_384] for i in range(0, len(stream), 16_384)]
    assert [len(data) for _, data in parsed(*pieces, limit=32 * MIB)] == [6, 9 * MIB, 5]


@pytest.mark.parametrize("size", [1, 1000, 65_536, 4 * MIB])
@pytest.mark.parametrize(
    "line", [b"data: %b\n\n", b"data: 1234567\ndata: %b\n\n", b"event: %b", b": %b", b"%b"], ids=range(5)
)
def test_an_event_or_a_line_that_is_too_large_is_an_unavailable_provider(line: bytes, size: int) -> None:
    limit = 64 * 1024
    stream = line % (b"x" * (limit + 1))
    with pytest.raises(ApiError, match="PORTOLAN_MAX_EVENT_BYTES") as caught:
        parsed(*(stream[i : i + size] for i in range(0, len(stream), size)), limit=limit)
    assert caught.value.error_type == "provider_unavailable"


@pytest.mark.parametrize("line", [b"data:\n", b"data: x\n", b"data: " + b"y" * (LONG_LINE + 1) + b"\n"])
def test_many_lines_of_one_event_are_bounded_together(line: bytes) -> None:
    parser = EventParser(64 * 1024)
    with pytest.raises(ApiError):
        for _ in range(64 * 1024 + 1):
            parser.feed(line)


def test_the_limit_holds_for_each_event_and_not_for_the_stream() -> None:
    limit = 64 * 1024
    event = b"data: " + b"x" * (limit - 100) + b"\n\n"
    stream = event * 5 + b": keep-alive\n\n" * 20_000
    for size in (1013, 70_001):
        assert len(parsed(*(stream[i : i + size] for i in range(0, len(stream), size)), limit=limit)) == 5
