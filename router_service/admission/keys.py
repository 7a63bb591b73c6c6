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
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateTable

from router_service.admission.policy import NO_RULES, KeyRules, KeyRulesError, parse_rules
from router_service.core.bounded_cache import BoundedCache

PolicyCache = BoundedCache[str, tuple[KeyRules | None]]

PREFIX = "sk-or-v1-"
# Ours have 73 characters: anything much longer is not looked up and not kept in memory.
LONGEST_KEY = 512
MOST_KNOWN = 10_000
MOST_KNOWN_BYTES = 8 * 1024 * 1024
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
    # JSON of the fields of ``admission.policy``; null is none.
    Column("policy", Text, nullable=True),
)


@dataclass(frozen=True, slots=True)
class Key:
    """``label`` shows the ends of the key, never its middle; ``created_at`` is Unix seconds.

    ``policy`` is ``None`` where what is stored cannot be read: what it forbids is then not known.
    """

    hash: str
    name: str
    label: str
    created_at: float
    disabled: bool
    policy: KeyRules | None = NO_RULES


def open_database(path: Path) -> Engine:
    """The SQLite database at ``path``, its tables made where missing and brought up to their present columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA journal_mode=WAL")

    with engine.begin() as connection:
        # In one statement: workers that start at once would all find the table missing.
        connection.execute(CreateTable(KEYS, if_not_exists=True))
    _add_missing_columns(engine)
    return engine


def _add_missing_columns(engine: Engine) -> None:
    """Those that an earlier version did not have; all are nullable. Another process may be adding them, too."""
    for column in KEYS.columns:
        if column.name in _columns(engine):
            continue
        try:
            with engine.begin() as connection:
                added = CreateColumn(column).compile(dialect=engine.dialect)
                connection.execute(text(f"ALTER TABLE {KEYS.name} ADD COLUMN {added}"))
        except OperationalError:
            if column.name not in _columns(engine):
                raise


def _columns(engine: Engine) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns(KEYS.name)}


def hash_key(key: str) -> str:
    """Lowercase hex SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(engine: Engine, name: str, policy: str | None = None) -> str:
    """Make a key and store its hash. The plain key is returned this once. ``policy`` is JSON for ``parse_rules``."""
    key = PREFIX + secrets.token_hex(32)
    with engine.begin() as connection:
        connection.execute(
            insert(KEYS).values(
                hash=hash_key(key),
                name=name,
                label=f"{key[:12]}...{key[-3:]}",
                created_at=time.time(),
                disabled=False,
                policy=policy,
            )
        )
    return key


def set_rules(engine: Engine, key_hash: str, policy: str | None) -> None:
    """Replace a key's policy: JSON for ``parse_rules``, or none."""
    with engine.begin() as connection:
        connection.execute(update(KEYS).where(KEYS.c.hash == key_hash).values(policy=policy))


def _policy_cache() -> PolicyCache:
    return BoundedCache(MOST_KNOWN, MOST_KNOWN_BYTES, lambda text, _value: 4 * len(text))


def read_keys(engine: Engine, policies: PolicyCache | None = None) -> list[Key]:
    """Return all keys, oldest first. ``policies`` keeps what was parsed, by its JSON: equal rules are one object."""
    known = _policy_cache() if policies is None else policies
    with engine.connect() as connection:
        rows = connection.execute(select(KEYS).order_by(KEYS.c.created_at, KEYS.c.hash)).all()
    keys = []
    for row in rows:
        policy: KeyRules | None = NO_RULES
        if row.policy:
            policy = (known.get(row.policy) or known.put(row.policy, (_parsed(row.policy),)))[0]
        keys.append(Key(row.hash, row.name, row.label, row.created_at, row.disabled, policy))
    return keys


def _parsed(text: str) -> KeyRules | None:
    try:
        return parse_rules(text)
    except KeyRulesError:
        return None


class KeyStore:
    """Keys in memory, read again every ``interval`` seconds and at once for a key not seen before.

    A database that cannot be read leaves the last good copy in force: a valid key is never refused
    because a disk is slow. ``stale`` counts such readings.
    """

    def __init__(self, engine: Engine, interval: float = 1.0) -> None:
        self._engine = engine
        self._interval = interval
        self._keys: dict[str, Key] = {}
        self._hashes: BoundedCache[str, str] = BoundedCache(MOST_KNOWN, MOST_KNOWN_BYTES)
        self._unknown: BoundedCache[str, float] = BoundedCache(MOST_KNOWN, MOST_KNOWN_BYTES)
        self._policies: PolicyCache = _policy_cache()
        self.by_header: BoundedCache[bytes, Key] = BoundedCache(MOST_KNOWN, MOST_KNOWN_BYTES)
        self.stale = 0
        self.reload()

    def reload(self) -> None:
        """Read all keys."""
        try:
            self._keys = {key.hash: key for key in read_keys(self._engine, self._policies)}
        except SQLAlchemyError:
            self.stale += 1
            return
        self.by_header.clear()

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
                self._hashes.put(key, digest)
        return self._keys.get(digest)

    async def find(self, key: str) -> Key | None:
        """The key, or ``None`` when it is unknown or disabled."""
        if len(key) > LONGEST_KEY:
            return None
        found = self.known(key)
        if found is None and (self._unknown.get(key) or 0.0) < time.monotonic() - self._interval:
            self._unknown.put(key, time.monotonic())
            await asyncio.to_thread(self.reload)
            found = self.known(key)
        return None if found is None or found.disabled else found
