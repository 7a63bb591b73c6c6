"""Re-export the request record, which ``data.record`` declares."""

from data.record.attempt import CLIENT_DEADLINE, HEDGE, LOST, STALE, Attempt
from data.record.encoding import encode_record, to_table
from data.record.record import RECORD_SCHEMA, Record

__all__ = [
    "CLIENT_DEADLINE",
    "HEDGE",
    "LOST",
    "RECORD_SCHEMA",
    "STALE",
    "Attempt",
    "Record",
    "encode_record",
    "to_table",
]
