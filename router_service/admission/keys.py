"""API keys: created once, only their SHA-256 kept; answered from memory on the serving path."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable

PREFIX = "sk-or-v1-"
METADATA = MetaData()
KEYS = Table(
    "keys",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("label", String(40), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("limit_nano", BigInteger, nullable=True),
)


@dataclass(frozen=True, slots=True)
class Key:
    """``label`` shows the ends of the key, never its middle; ``created_at`` is Unix seconds."""

    hash: str
    name: str
    label: str
    created_at: float
    disabled: bool


def open_database(path: Path) -> Engine:
    """The SQLite database at ``path``, its tables made where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA journal_mode=WAL")

    with engine.begin() as connection:
        # In one statement: workers that start at once would all find the table missing.
        connection.execute(CreateTable(KEYS, if_not_exists=True))
    return engine


def hash_key(key: str) -> str:
    """Lowercase hex SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(engine: Engine, name: str) -> str:
    """Make a key and store its hash. The plain key is returned this once."""
    key = PREFIX + secrets.token_hex(32)
    with engine.begin() as connection:
        connection.execute(
            insert(KEYS).values(
                hash=hash_key(key),
                name=name,
                label=f"{key[:12]}...{key[-3:]}",
                created_at=time.time(),
                disabled=False,
            )
        )
    return key


class KeyStore:
    """Keys in memory, read again every ``interval`` seconds and at once for a key not seen before.

    A database that cannot be read leaves the last good copy in force: a valid key is never refused
    because a disk is slow. ``stale`` counts such readings.
    """

    def __init__(self, engine: Engine, interval: float = 1.0) -> None:
        self._engine = engine
        self._interval = interval
        self._keys: dict[str, Key] = {}
        self._hashes: dict[str, str] = {}
        self._unknown: dict[str, float] = {}
        self.by_header: dict[bytes, Key] = {}
        self.stale = 0
        self.reload()

    def reload(self) -> None:
        """Read all keys."""
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(select(KEYS)).all()
        except SQLAlchemyError:
            self.stale += 1
            return
        self._keys = {row.hash: Key(row.hash, row.name, row.label, row.created_at, row.disabled) for row in rows}
        self.by_header.clear()
        if len(self._hashes) > 10_000:
            self._hashes.clear()

    async def watch(self) -> None:
        """Reload for ever; run as a task."""
        while True:
            await asyncio.sleep(self._interval)
            await asyncio.to_thread(self.reload)

    def known(self, key: str) -> Key | None:
        """The key if memory has it, whatever its state."""
        digest = self._hashes.get(key)
        if digest is None:
            digest = hash_key(key)
            if digest in self._keys:
                self._hashes[key] = digest
        return self._keys.get(digest)

    async def find(self, key: str) -> Key | None:
        """The key, or ``None`` when it is unknown or disabled."""
        found = self.known(key)
        if found is None and self._unknown.get(key, 0.0) < time.monotonic() - self._interval:
            if len(self._unknown) > 10_000:
                self._unknown.clear()
            self._unknown[key] = time.monotonic()
            await asyncio.to_thread(self.reload)
            found = self.known(key)
        return None if found is None or found.disabled else found
