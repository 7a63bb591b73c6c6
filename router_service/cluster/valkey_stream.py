"""Workers of several machines: all append to one stream of a Redis or Valkey server, and all read it.

A stream and no channel: whoever was away reads on where it stopped. Machines share no clock, so times are told as
seconds before sending, and the server's clock alone says how long ago that was.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import valkey
from msgspec.structs import replace
from valkey.backoff import NoBackoff
from valkey.retry import Retry

from router_service.affinity.messages import ConversationMessage
from router_service.cluster.messages import PeerBatch
from router_service.health.breaker import LONGEST_EJECTION_S, PROBE_LEASE_S
from router_service.health.capacity import LONGEST_RETRY_AFTER_S

logger = logging.getLogger(__name__)

# Of batches of at most 40 kB: 160 MB at the very most, usually a few. The key goes when nobody has told for an hour.
STREAM_LENGTH = 4096
STREAM_LIFE_S = 3600
TIMEOUT_S = 0.2
# How far back a worker reads that begins.
CATCH_UP_S = 300.0
READ_AT_ONCE = 500
SENT_AT_ONCE = 256
# What could not be told is told later, for as long as plans may depend on it.
KEPT_S = 30.0
KEPT = 1024
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
WARNING_INTERVAL_S = 60.0
# No prompt cache lives longer (``data/catalogue/caches.toml``).
LONGEST_LIFE_S = 86_400.0
LOST = "The server of PORTOLAN_VALKEY_URL is lost (%s): health and conversations stay on this machine until it is back"


class ValkeyTransport:
    """``Peers`` by the stream ``<prefix>:peers:1`` of the server at ``url``.

    Raises ``ValueError`` for an address that cannot be one. ``failures`` counts exchanges that failed and entries that
    could not be read.
    """

    name = "valkey"

    def __init__(self, url: str, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = f"{prefix}:peers:1"
        self._client = connect(url)
        self._clock = clock
        self._last = b""
        self._untold: deque[PeerBatch] = deque(maxlen=KEPT)
        self._in_a_row = 0
        self._next = self._next_warning = float("-inf")
        self._warned = False
        self._closed = False
        self._connected = False
        self._lock = threading.Lock()
        self.failures = 0

    @property
    def working(self) -> bool:
        return self._in_a_row == 0

    def exchange(self, batches: Sequence[PeerBatch]) -> Sequence[PeerBatch]:
        with self._lock:
            self._untold.extend(batches)
            now = self._clock()
            while self._untold and now - self._untold[0].at > KEPT_S:
                self._untold.popleft()
            if self._closed or now < self._next:
                return ()
            found: list[PeerBatch] = []
            try:
                self._exchange(found)
            except Exception as error:
                # Whatever a server, a network or the library come up with: requests go on without.
                self._lose(error)
            else:
                self._return()
            return found

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._client.close()

    def _exchange(self, found: list[PeerBatch]) -> None:
        """One round trip for what is to be told and what there is; more while there is more."""
        if not self._connected:
            self._last = self._start()
            self._connected = True
        sent = [self._untold[place] for place in range(min(SENT_AT_ONCE, len(self._untold)))]
        entries = self._round_trip(sent, found)
        for _ in sent:
            self._untold.popleft()
        for _ in range(STREAM_LENGTH // READ_AT_ONCE):
            if entries < READ_AT_ONCE:
                return
            entries = self._round_trip((), found)

    def _start(self) -> bytes:
        """Where to read on: behind the last entry read, unless the server's clock or stream began anew."""
        now_ms = _milliseconds(self._client.time())
        if self._last and _sent_ms(self._last) <= now_ms:
            return self._last
        return b"%d-0" % max(0, now_ms - int(CATCH_UP_S * 1000))

    def _round_trip(self, batches: Sequence[PeerBatch], found: list[PeerBatch]) -> int:
        pipeline = self._client.pipeline(transaction=False)
        now = self._clock()
        for told in batches:
            pipeline.xadd(self._key, {"b": encode(told, now)}, maxlen=STREAM_LENGTH, approximate=True)
        if batches:
            pipeline.expire(self._key, STREAM_LIFE_S)
        pipeline.time()
        pipeline.xread({self._key: self._last}, count=READ_AT_ONCE)
        answers = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        *_, server_time, streams = answers
        now, server_ms = self._clock(), _milliseconds(server_time)
        entries = streams[0][1] if streams else []
        for name, fields in entries:
            self._last = name
            age = max(0.0, (server_ms - _sent_ms(name)) / 1000)
            batch = decode(fields.get(b"b", b""), now - age)
            if batch is None:
                self.failures += 1
            else:
                found.append(batch)
        return len(entries)

    def _lose(self, error: Exception) -> None:
        now = self._clock()
        self._client.connection_pool.disconnect()
        self._connected = False
        self.failures += 1
        self._next = now + min(FIRST_PAUSE_S * 2.0 ** min(self._in_a_row, 10), LONGEST_PAUSE_S)
        if not self._in_a_row and now >= self._next_warning:
            self._next_warning = now + WARNING_INTERVAL_S
            self._warned = True
            logger.warning(LOST, error)
        self._in_a_row += 1

    def _return(self) -> None:
        self._in_a_row = 0
        if self._warned:
            self._warned = False
            logger.warning("The server of PORTOLAN_VALKEY_URL is back: health and conversations are shared again")


def connect(url: str) -> valkey.Valkey:
    """A client that has not connected yet; every wait of it ends after ``TIMEOUT_S``. Raises ``ValueError``."""
    try:
        client = valkey.Valkey.from_url(url)
        pool = client.connection_pool
        waits = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
        pool.connection_kwargs.update(waits)
        pool.make_connection()
    except (ValueError, TypeError):
        # Not what the library says of it: that can hold a part of the password.
        raise ValueError(
            "must be like redis://user:password@host:6379/0 or rediss://…, parts percent-encoded"
        ) from None
    return client


def encode(batch: PeerBatch, now: float) -> bytes:
    """``at`` becomes seconds before ``now``, all other times seconds after the batch's own."""
    at = batch.at
    return msgspec.msgpack.encode(
        replace(
            batch,
            at=max(0.0, now - at),
            reports=[
                replace(
                    told,
                    ejected_until=_left(told.ejected_until, at),
                    retry_until=_left(told.retry_until, at),
                    probe_until=_left(told.probe_until, at),
                )
                for told in batch.reports
            ],
            conversations=[replace(told, at=told.at - at, until=told.until - at) for told in batch.conversations],
        )
    )


def decode(payload: bytes, sent_at: float) -> PeerBatch | None:
    """The batch in times of this machine's clock, on which it was sent at ``sent_at``; ``None`` if it is damaged."""
    try:
        batch = msgspec.msgpack.decode(payload, type=PeerBatch)
    except (msgspec.DecodeError, ValueError):
        return None
    times = [batch.at, *(time for told in batch.conversations for time in (told.at, told.until))]
    if not all(map(math.isfinite, times)) or batch.at < 0:
        return None
    at = sent_at - batch.at
    return replace(
        batch,
        at=at,
        reports=[
            replace(
                told,
                ejected_until=_due(told.ejected_until, at, LONGEST_EJECTION_S),
                retry_until=_due(told.retry_until, at, LONGEST_RETRY_AFTER_S),
                probe_until=_due(told.probe_until, at, PROBE_LEASE_S),
            )
            for told in batch.reports
        ],
        conversations=[_heard(told, at) for told in batch.conversations],
    )


def _left(until: float, at: float) -> float:
    return until - at if until else 0.0


def _due(left: float, at: float, most: float) -> float:
    return at + min(left, most) if left > 0 else 0.0


def _heard(told: ConversationMessage, at: float) -> ConversationMessage:
    return replace(told, at=at + min(told.at, 0.0), until=at + min(told.until, LONGEST_LIFE_S))


def _sent_ms(entry: bytes) -> int:
    """When the server took ``entry``, by its name."""
    return int(entry.split(b"-")[0])


def _milliseconds(server_time: Any) -> int:
    """Of the answer to TIME, seconds and microseconds."""
    seconds, microseconds = server_time
    return int(seconds) * 1000 + int(microseconds) // 1000
