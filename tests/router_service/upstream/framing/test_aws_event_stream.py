"""Test the framing of AWS event streams against the parser of ``botocore``, and that damaged messages fail."""

from __future__ import annotations

import binascii
import struct

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from lab.bedrock_frames import event_frame, exception_frame, frame
from router_service.core.errors import ApiError
from router_service.upstream.framing.aws_event_stream import CONTENT_TYPE, AwsEventParser
from router_service.upstream.framing.selection import stream_parser
from router_service.upstream.framing.sse import Event, EventParser

names = st.text(st.characters(codec="utf-8"), max_size=20)
messages = st.builds(
    lambda kind, name, text, payload: frame({":message-type": kind, ":event-type": name, "other": text}, payload),
    st.sampled_from(["event", "odd"]),
    names,
    names,
    st.binary(max_size=200),
)


def parsed(*chunks: bytes, limit: int = 1 << 20) -> list[Event]:
    """Return the events of a stream that arrives in ``chunks`` and ends."""
    parser = AwsEventParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.finish()


def resealed(message: bytes) -> bytes:
    """Return ``message`` with checksums that are right for its other bytes."""
    sealed = message[:8] + struct.pack("!I", binascii.crc32(message[:8])) + message[12:-4]
    return sealed + struct.pack("!I", binascii.crc32(sealed))


@given(st.lists(messages, max_size=6), st.integers(1, 300))
def test_messages_are_what_botocore_reads(stream: list[bytes], size: int) -> None:
    """Parse any stream, cut anywhere, as the vendor's own library does."""
    whole = b"".join(stream)
    reader = EventStreamBuffer()
    reader.add_data(whole)
    theirs = [(message.headers[":event-type"] or None, message.payload) for message in reader]
    assert parsed(whole) == theirs
    assert parsed(*(whole[at : at + size] for at in range(0, len(whole), size))) == theirs


@given(messages, st.data())
def test_a_message_with_a_wrong_bit_fails(message: bytes, data: st.DataObject) -> None:
    """Refuse a message in which any bit has changed: it never becomes an event."""
    at, bit = data.draw(st.integers(0, len(message) - 1)), data.draw(st.integers(0, 7))
    damaged = message[:at] + bytes([message[at] ^ 1 << bit]) + message[at + 1 :]
    with pytest.raises(ApiError, match="is damaged: the checksum"):
        parsed(damaged)


@given(messages, st.data())
def test_lengths_and_headers_that_lie_fail(message: bytes, data: st.DataObject) -> None:
    """Refuse headers of any bytes under right checksums, unless they are headers."""
    headers = data.draw(st.binary(max_size=40))
    length = data.draw(st.integers(0, 2**32 - 1))
    for forged in (
        resealed(struct.pack("!II", 16 + len(headers), len(headers)) + b"\0" * 4 + headers + b"\0" * 4),
        resealed(struct.pack("!II", len(message), length) + message[8:]),
    ):
        try:
            found = parsed(forged)
        except ApiError as error:
            assert error.error_type == "provider_unavailable" and "damaged" in error.message
        else:
            assert len(found) == 1


@pytest.mark.parametrize("length", [16 + 1025, 2**32 - 1])
def test_a_message_above_the_limit_is_refused_by_its_prelude(length: int) -> None:
    """Refuse a length before the message arrives, so that nothing is kept of it."""
    prelude = struct.pack("!II", length, 0)
    parser = AwsEventParser(1024)
    with pytest.raises(ApiError, match=r"more than 1,024 bytes \(PORTOLAN_MAX_EVENT_BYTES\)"):
        parser.feed(prelude + struct.pack("!I", binascii.crc32(prelude)))
    assert len(parsed(event_frame("x", {"a": "b" * 500}), limit=1024)) == 1


def test_exceptions_and_errors_are_named() -> None:
    """Begin the names of failures so that no event can be mistaken for one."""
    error = frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "Sorry."}, b"")
    assert parsed(exception_frame("throttlingException", "Slow down."), error) == [
        ("exception:throttlingException", b'{"message": "Slow down."}'),
        ("exception:InternalError", b'{"message": "Sorry."}'),
    ]


def test_the_end_of_a_cut_stream_says_nothing() -> None:
    """Leave it to the decoder that the answer has no end."""
    message = event_frame("messageStop", {"stopReason": "end_turn"})
    assert parsed(message, message[:-1]) == [("messageStop", parsed(message)[0][1])]


def test_the_content_type_selects_the_framing() -> None:
    """Read every other type as server-sent events, as before."""
    assert isinstance(stream_parser(f"{CONTENT_TYPE}; charset=x", 4096), AwsEventParser)
    for other in (None, "", "text/event-stream", "text/html"):
        assert isinstance(stream_parser(other, 4096), EventParser)
