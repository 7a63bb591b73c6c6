"""A record survives the log unchanged, whichever of its columns are set."""

from __future__ import annotations

import msgspec
import pytest

from data.record.encoding import decode_record, encode_record, record_row, to_table
from data.record.record import RECORD_SCHEMA, RECORD_VERSION, Record
from tests.data.record.old_lake import new_record


def test_what_is_decoded_is_what_was_encoded() -> None:
    for record in (new_record(1), Record("gen-1-0", 1, "w", "a/b", False, 200, 5)):
        decoded = decode_record(encode_record(record))
        assert encode_record(decoded) == encode_record(record)
        assert decoded.schema_version == RECORD_VERSION
        assert decoded.attempts == record.attempts
        assert decoded.charges == record.charges


def test_a_record_names_its_version_and_omits_defaults() -> None:
    fields = msgspec.msgpack.decode(encode_record(Record("gen-1-0", 1, "w", "a/b", False, 200, 5)))
    assert fields == {
        "generation_id": "gen-1-0",
        "started_at": 1,
        "worker": "w",
        "requested_model": "a/b",
        "stream": False,
        "status": 200,
        "duration_us": 5,
        "schema_version": RECORD_VERSION,
    }


def test_a_row_has_every_column() -> None:
    row = record_row(encode_record(new_record(3)))
    assert list(row) == RECORD_SCHEMA.names
    assert (row["arms"], row["candidates"], row["country"]) == (None, [], "DE")
    assert row["charges"] == [
        {"meter": "prompt", "quantity": 100, "nano": 7},
        {"meter": "completion", "quantity": 10, "nano": 3},
    ]
    (sealed,) = to_table([encode_record(new_record(3))]).to_pylist()
    assert {**row, "started_at": sealed["started_at"]} == sealed


def test_fields_of_a_later_version_are_ignored() -> None:
    fields = msgspec.msgpack.decode(encode_record(new_record(1)))
    later = msgspec.msgpack.encode({**fields, "schema_version": RECORD_VERSION + 1, "later": [1]})
    (row,) = to_table([later]).to_pylist()
    assert (row["schema_version"], row["country"]) == (RECORD_VERSION + 1, "DE")


def test_a_table_tells_null_lists_from_empty_ones() -> None:
    records = [new_record(number) for number in range(3)]
    records[0].charges, records[1].charges, records[2].attempts = None, [], []
    table = to_table([encode_record(record) for record in records])
    table.validate(full=True)
    assert [charges and len(charges) for charges in table["charges"].to_pylist()] == [None, [], 2]
    assert [len(attempts) for attempts in table["attempts"].to_pylist()] == [1, 1, 0]


def test_no_payload_makes_an_empty_table() -> None:
    assert to_table([]).schema.equals(RECORD_SCHEMA)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x80", b"\x81\xa1x\x01"])
def test_what_is_no_record_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        record_row(payload)
    with pytest.raises(msgspec.DecodeError):
        to_table([payload])
