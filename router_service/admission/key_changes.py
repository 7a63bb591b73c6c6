"""Change API keys, and write what was changed, when and by whom, into the table ``key_events``."""

from __future__ import annotations

import getpass
import time
from typing import NamedTuple

from sqlalchemy import Connection, Engine, insert, select, update

from router_service.admission.keys import EVENTS, KEYS, Key, NewKey, insert_key


class KeyEvent(NamedTuple):
    """Hold one change of a key. ``at`` is in Unix seconds; ``actor`` is the operating system's user who made it."""

    at: float
    action: str
    label: str
    detail: str
    actor: str


def create_recorded(engine: Engine, made: NewKey) -> str:
    """Create a key, with an event, and return it. Only this call returns the plain key."""
    with engine.begin() as connection:
        plain, stored = insert_key(connection, made)
        kind = "for management" if made.management else ""
        _record(connection, "create", stored.hash, stored.label, " ".join(filter(None, (made.name, kind))))
    return plain


def revoke(engine: Engine, key: Key) -> None:
    """Refuse every further request of ``key``, for good. All workers learn of it within a second."""
    with engine.begin() as connection:
        connection.execute(update(KEYS).where(KEYS.c.hash == key.hash).values(disabled=True))
        _record(connection, "revoke", key.hash, key.label, key.name)


def expire(engine: Engine, key: Key, at: float | None) -> None:
    """Let ``key`` be refused from ``at`` on, in Unix seconds; ``None`` for a key without an end."""
    with engine.begin() as connection:
        connection.execute(update(KEYS).where(KEYS.c.hash == key.hash).values(expires_at=at))
        _record(connection, "expire", key.hash, key.label, "never" if at is None else f"at {at:.0f}")


def rotate(engine: Engine, key: Key, policy: str | None, old_until: float) -> str:
    """Return a new key like ``key``, which serves until ``old_until``, in Unix seconds."""
    made = create_recorded(engine, NewKey(key.name, policy, key.expires_at, key.management))
    until = old_until if key.expires_at is None else min(old_until, key.expires_at)
    with engine.begin() as connection:
        connection.execute(update(KEYS).where(KEYS.c.hash == key.hash).values(expires_at=until))
        _record(connection, "rotate", key.hash, key.label, f"serves until {until:.0f}")
    return made


def record_rules(engine: Engine, key: Key, rules: str) -> None:
    """Write that the rules of ``key`` are ``rules`` now."""
    with engine.begin() as connection:
        _record(connection, "policy", key.hash, key.label, rules)


def read_events(engine: Engine, limit: int) -> list[KeyEvent]:
    """Return the last ``limit`` changes, the latest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(EVENTS).order_by(EVENTS.c.id.desc()).limit(limit)).all()
    return [KeyEvent(row.at, row.action, row.label, row.detail, row.actor) for row in rows]


def _record(connection: Connection, action: str, key_hash: str, label: str, detail: str) -> None:
    try:
        actor = getpass.getuser()
    except (KeyError, OSError):
        actor = "unknown"
    values = {"at": time.time(), "action": action, "key_hash": key_hash, "label": label}
    connection.execute(insert(EVENTS).values(**values, detail=detail[:1000], actor=actor[:100]))
