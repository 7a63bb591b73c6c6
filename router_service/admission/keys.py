"""Create, store and look up API keys. Only their SHA-256 is stored; requests are authenticated from memory."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
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

from router_service.admission.key_rules import NO_RULES, KeyRules, KeyRulesError, parse_rules
from router_service.core.bounded_cache import BoundedCache
from router_service.core.token_bucket import TokenBucket

PolicyCache = BoundedCache[str, tuple[KeyRules | None]]

PREFIX = "sk-or-v1-"
# Keys have 73 characters. Much longer strings are neither looked up nor cached, which bounds memory.
LONGEST_KEY = 512
MAX_KNOWN = 10_000
MAX_KNOWN_BYTES = 8 * 1024 * 1024
# Of unknown keys in the database. One that is made in a flood of them is known with the next reload.
LOOK_UPS_PER_S = 20.0
LOOK_UPS_BURST = 100.0
# How old the last use may be that the database tells.
USE_INTERVAL_S = 30.0
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
    # JSON for ``key_rules.parse_rules``; null stands for no rules.
    Column("policy", Text, nullable=True),
    # Unix seconds; null for a key that does not expire, and for one that was not used yet.
    Column("expires_at", Float, nullable=True),
    Column("last_used_at", Float, nullable=True),
    # Null stands for false, in databases that are older than the column.
    Column("management", Boolean, nullable=True),
)

# What was changed of keys: ``key_changes`` writes it, and nothing deletes from it.
EVENTS = Table(
    "key_events",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("action", String(20), nullable=False),
    Column("key_hash", String(64), nullable=False),
    Column("label", String(40), nullable=False),
    Column("detail", Text, nullable=False),
    Column("actor", String(100), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Key:
    """API key. ``label`` shows the ends of the key, never its middle; times are in Unix seconds.

    ``policy`` is ``None`` if the stored rules cannot be read, so that it is not known what they forbid. A key for
    ``management`` sees the analytics of all keys, another one those of its own requests.
    """

    hash: str
    name: str
    label: str
    created_at: float
    disabled: bool
    policy: KeyRules | None = NO_RULES
    expires_at: float | None = None
    last_used_at: float | None = None
    management: bool = False

    def is_usable(self, now: float) -> bool:
        """Return whether requests with the key are served at ``now``, in Unix seconds."""
        return not self.disabled and (self.expires_at is None or now < self.expires_at)


def open_database(path: Path) -> Engine:
    """Open the SQLite database at ``path``; create missing tables and add missing columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA journal_mode=WAL")

    with engine.begin() as connection:
        # One statement checks and creates: workers that start at once would all find the table missing.
        for table in METADATA.tables.values():
            connection.execute(CreateTable(table, if_not_exists=True))
    _add_missing_columns(engine)
    return engine


def _add_missing_columns(engine: Engine) -> None:
    """Add the nullable columns that an earlier version lacks. Another process may be adding them at the same time."""
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
    """Return the SHA-256 of ``key`` in lower-case hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


class NewKey(NamedTuple):
    """Hold what a key is made with. ``policy`` is JSON for ``parse_rules``, ``expires_at`` in Unix seconds."""

    name: str
    policy: str | None = None
    expires_at: float | None = None
    management: bool = False


def create_key(engine: Engine, name: str, policy: str | None = None, expires_at: float | None = None) -> str:
    """Create a key and store its hash. Only this call returns the plain key. ``policy`` is JSON for ``parse_rules``."""
    with engine.begin() as connection:
        return insert_key(connection, NewKey(name, policy, expires_at))[0]


def insert_key(connection: Connection, made: NewKey) -> tuple[str, Key]:
    """Store the hash of a new key, and return the plain key with what was stored of it."""
    plain = PREFIX + secrets.token_hex(32)
    stored = Key(hash_key(plain), made.name, f"{plain[:12]}...{plain[-3:]}", time.time(), False)
    connection.execute(
        insert(KEYS).values(
            hash=stored.hash,
            name=made.name,
            label=stored.label,
            created_at=stored.created_at,
            disabled=False,
            policy=made.policy,
            expires_at=made.expires_at,
            management=made.management,
        )
    )
    return plain, stored


def set_rules(engine: Engine, key_hash: str, policy: str | None) -> None:
    """Replace the rules of a key; ``policy`` is JSON for ``parse_rules``, or ``None`` for no rules."""
    with engine.begin() as connection:
        connection.execute(update(KEYS).where(KEYS.c.hash == key_hash).values(policy=policy))


def _policy_cache() -> PolicyCache:
    return BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES, lambda text, _value: 4 * len(text))


def read_keys(engine: Engine, policies: PolicyCache | None = None, key_hash: str | None = None) -> list[Key]:
    """Return all keys, oldest first, or the one with ``key_hash``.

    ``policies`` caches parsed rules by their JSON, so equal rules are one object.
    """
    known = _policy_cache() if policies is None else policies
    with engine.connect() as connection:
        wanted = select(KEYS) if key_hash is None else select(KEYS).where(KEYS.c.hash == key_hash)
        rows = connection.execute(wanted.order_by(KEYS.c.created_at, KEYS.c.hash)).all()
    keys = []
    for row in rows:
        policy: KeyRules | None = NO_RULES
        if row.policy:
            policy = (known.get(row.policy) or known.put(row.policy, (_parsed(row.policy),)))[0]
        more = row.expires_at, row.last_used_at, bool(row.management)
        keys.append(Key(row.hash, row.name, row.label, row.created_at, row.disabled, policy, *more))
    return keys


def _parsed(text: str) -> KeyRules | None:
    try:
        return parse_rules(text)
    except KeyRulesError:
        return None


def _identity(engine: Engine) -> tuple[int, int] | None:
    """Return what tells the database's file from another one of its name; ``None`` while there is none."""
    try:
        found = Path(str(engine.url.database)).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class DatabaseMissing(Exception):
    """Report that the file of the database is gone."""


class KeyStore:
    """Hold all keys in memory; reload them every ``interval`` seconds, and look an unknown key up at once.

    If the database cannot be read, the last copy stays in use, so that a slow disk never causes a valid key to be
    refused. ``stale`` counts the failed reads.
    """

    def __init__(self, engine: Engine, interval: float = 1.0) -> None:
        self._engine = engine
        self._interval = interval
        self._keys: dict[str, Key] = {}
        self._hashes: BoundedCache[str, str] = BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES)
        self._unknown: BoundedCache[str, float] = BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES)
        self._policies: PolicyCache = _policy_cache()
        self.by_header: BoundedCache[bytes, Key] = BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES)
        self._used: set[str] = set()
        self._file = _identity(engine)
        self.stale = 0
        self._look_ups = TokenBucket(LOOK_UPS_PER_S, LOOK_UPS_BURST)
        self.reload()

    def reload(self) -> None:
        """Read all keys from the database."""
        self._follow_file()
        self._used |= {key.hash for key in self.by_header.values()}
        now = time.time()
        try:
            # Connecting would make an empty database in place of one that was deleted.
            if _identity(self._engine) is None:
                raise DatabaseMissing
            self._keys = {key.hash: key for key in read_keys(self._engine, self._policies)}
        except (SQLAlchemyError, DatabaseMissing):
            self.stale += 1
            # Another file may take the place of this one, even with its number.
            self._engine.dispose()
            # What is known of their ends is known without the database.
            self._forget_expired(now)
            return
        self.by_header.clear()

    @property
    def count(self) -> int:
        """Return the number of known keys."""
        return len(self._keys)

    def _follow_file(self) -> None:
        """Open the database anew where another file has taken its place: open connections would read the old one."""
        found = _identity(self._engine)
        if found is not None and found != self._file:
            self._file = found
            self._engine.dispose()

    def _forget_expired(self, now: float) -> None:
        if any(not key.is_usable(now) for key in self.by_header.values()):
            self.by_header.clear()

    def note_uses(self) -> None:
        """Write when each key was last used, at most ``USE_INTERVAL_S`` ago."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            with self._engine.begin() as connection:
                wanted = update(KEYS).where(KEYS.c.hash == bindparam("used"))
                now = time.time()
                connection.execute(wanted.values(last_used_at=now), [{"used": digest} for digest in used])
        except SQLAlchemyError:
            self._used |= used

    async def watch(self) -> None:
        """Reload the keys periodically, and write their uses; run as a task."""
        written_at = time.monotonic()
        while True:
            await asyncio.sleep(self._interval)
            await asyncio.to_thread(self.reload)
            if time.monotonic() - written_at >= USE_INTERVAL_S:
                written_at = time.monotonic()
                await asyncio.to_thread(self.note_uses)

    def _look_up(self, digest: str) -> None:
        """Read one key from the database, which may be newer than the last reload."""
        if _identity(self._engine) is None:
            return
        try:
            self._keys |= {key.hash: key for key in read_keys(self._engine, self._policies, digest)}
        except SQLAlchemyError:
            self.stale += 1

    def known(self, key: str) -> Key | None:
        """Return the key if it is in memory, enabled or not."""
        digest = self._hashes.get(key)
        if digest is None:
            digest = hash_key(key)
            if digest in self._keys:
                self._hashes.put(key, digest)
        return self._keys.get(digest)

    async def find(self, key: str) -> Key | None:
        """Return the key, or ``None`` if it is unknown, revoked or expired."""
        if len(key) > LONGEST_KEY:
            return None
        found, now = self.known(key), time.monotonic()
        if found is None and (self._unknown.get(key) or 0.0) < now - self._interval and self._look_ups.take():
            self._unknown.put(key, now)
            await asyncio.to_thread(self._look_up, hash_key(key))
            found = self.known(key)
        if found is None or not found.is_usable(time.time()):
            return None
        self._used.add(found.hash)
        return found
