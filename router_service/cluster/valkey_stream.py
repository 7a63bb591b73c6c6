"""Share between workers of several machines: all append to one stream of a Redis or Valkey server, and all read it.

A stream is used and not a channel, because a worker that was disconnected can continue where it stopped. Machines share
no clock, so times are sent as seconds before sending, and the server's clock alone says how long ago that was.
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
from router_service.core.errors import MAX_RETRY_AFTER_S
from router_service.health.breaker import MAX_EJECTION_S, PROBE_LEASE_S

logger = logging.getLogger(__name__)

# Batches of at most 40 kB each: 160 MB at most, usually a few. The key expires when nobody has written for an hour.
STREAM_LENGTH = 4096
STREAM_LIFE_S = 3600
TIMEOUT_S = 0.2
# The history that a worker reads when it begins.
CATCH_UP_S = 300.0
READ_BATCHES = 500
SEND_BATCHES = 256
# Batches that could not be sent are sent later, for as long as plans may depend on them.
MAX_UNSENT_AGE_S = 30.0
MAX_UNSENT = 1024
BASE_RETRY_S = 0.5
MAX_RETRY_S = 8.0
WARNING_INTERVAL_S = 60.0
# No prompt cache lives longer (``data/catalogue/caches.toml``).
MAX_CACHE_LIFETIME_S = 86_400.0
LOST = "The server of PORTOLAN_VALKEY_URL is lost (%s): health and conversations stay on this machine until it is back"


class ValkeyTransport:
    """Implement ``PeerTransport`` by the stream ``<prefix>:peers:1`` of the server at ``url``.

    Raises ``ValueError`` for an invalid address. ``failures`` counts exchanges that failed and entries that could not
    be read.
    """

    name = "valkey"

    def __init__(self, url: str, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = f"{prefix}:peers:1"
        self._client = connect(url)
        self._clock = clock
        self._last_entry = b""
        self._unsent: deque[PeerBatch] = deque(maxlen=MAX_UNSENT)
        self._consecutive_failures = 0
        self._next_attempt = self._next_warning = float("-inf")
        self._warned = False
        self._closed = False
        self._connected = False
        self._lock = threading.Lock()
        self.failures = 0

    @property
    def working(self) -> bool:
        """Return whether the last exchange succeeded."""
        return self._consecutive_failures == 0

    def exchange(self, batches: Sequence[PeerBatch]) -> Sequence[PeerBatch]:
        """Append ``batches`` to the stream, and return what was appended to it since the last call."""
        with self._lock:
            self._unsent.extend(batches)
            now = self._clock()
            while self._unsent and now - self._unsent[0].at > MAX_UNSENT_AGE_S:
                self._unsent.popleft()
            if self._closed or now < self._next_attempt:
                return ()
            found: list[PeerBatch] = []
            try:
                self._exchange(found)
            except Exception as error:
                # No failure of a server, a network or the library may stop requests.
                self._record_failure(error)
            else:
                self._record_success()
            return found

    def close(self) -> None:
        """Close the connection; later exchanges do nothing."""
        with self._lock:
            self._closed = True
            self._client.close()

    def _exchange(self, found: list[PeerBatch]) -> None:
        """Send and read in one round trip, and in more while there is more to read."""
        if not self._connected:
            self._last_entry = self._first_entry()
            self._connected = True
        sent = [self._unsent[place] for place in range(min(SEND_BATCHES, len(self._unsent)))]
        entries = self._round_trip(sent, found)
        for _ in sent:
            self._unsent.popleft()
        for _ in range(STREAM_LENGTH // READ_BATCHES):
            if entries < READ_BATCHES:
                return
            entries = self._round_trip((), found)

    def _first_entry(self) -> bytes:
        """Return the entry to read after: the last one read, unless the server's clock or stream began anew."""
        now_ms = _milliseconds(self._client.time())
        if self._last_entry and _sent_ms(self._last_entry) <= now_ms:
            return self._last_entry
        return b"%d-0" % max(0, now_ms - int(CATCH_UP_S * 1000))

    def _round_trip(self, batches: Sequence[PeerBatch], found: list[PeerBatch]) -> int:
        pipeline = self._client.pipeline(transaction=False)
        now = self._clock()
        for batch in batches:
            pipeline.xadd(self._key, {"b": encode(batch, now)}, maxlen=STREAM_LENGTH, approximate=True)
        if batches:
            pipeline.expire(self._key, STREAM_LIFE_S)
        pipeline.time()
        pipeline.xread({self._key: self._last_entry}, count=READ_BATCHES)
        answers = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        *_, server_time, streams = answers
        now, server_ms = self._clock(), _milliseconds(server_time)
        entries = streams[0][1] if streams else []
        for name, fields in entries:
            self._last_entry = name
            age = max(0.0, (server_ms - _sent_ms(name)) / 1000)
            received = decode(fields.get(b"b", b""), now - age)
            if received is None:
                self.failures += 1
            else:
                found.append(received)
        return len(entries)

    def _record_failure(self, error: Exception) -> None:
        now = self._clock()
        self._client.connection_pool.disconnect()
        self._connected = False
        self.failures += 1
        self._next_attempt = now + min(BASE_RETRY_S * 2.0 ** min(self._consecutive_failures, 10), MAX_RETRY_S)
        if not self._consecutive_failures and now >= self._next_warning:
            self._next_warning = now + WARNING_INTERVAL_S
            self._warned = True
            logger.warning(LOST, error)
        self._consecutive_failures += 1

    def _record_success(self) -> None:
        self._consecutive_failures = 0
        if self._warned:
            self._warned = False
            logger.warning("The server of PORTOLAN_VALKEY_URL is back: health and conversations are shared again")


def connect(url: str) -> valkey.Valkey:
    """Return a client that is not connected yet, with time-outs of ``TIMEOUT_S``.

    Raises ``ValueError`` for an invalid address, without repeating it.
    """
    try:
        client = valkey.Valkey.from_url(url)
        pool = client.connection_pool
        time_outs = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
        pool.connection_kwargs.update(time_outs)
        pool.make_connection()
    except (ValueError, TypeError):
        # The library's own message can contain a part of the password.
        raise ValueError(
            "must be like redis://user:password@host:6379/0 or rediss://…, parts percent-encoded"
        ) from None
    return client


def encode(batch: PeerBatch, now: float) -> bytes:
    """Return the payload: ``at`` becomes seconds before ``now``, all other times become seconds after ``at``."""
    at = batch.at
    return msgspec.msgpack.encode(
        replace(
            batch,
            at=max(0.0, now - at),
            reports=[
                replace(
                    report,
                    ejected_until=_remaining(report.ejected_until, at),
                    retry_until=_remaining(report.retry_until, at),
                    probe_until=_remaining(report.probe_until, at),
                )
                for report in batch.reports
            ],
            conversations=[replace(one, at=one.at - at, until=one.until - at) for one in batch.conversations],
        )
    )


def decode(payload: bytes, sent_at: float) -> PeerBatch | None:
    """Return the batch in seconds of this machine's clock, by which it was sent at ``sent_at``; ``None`` if damaged."""
    try:
        batch = msgspec.msgpack.decode(payload, type=PeerBatch)
    except (msgspec.DecodeError, ValueError):
        return None
    times = [batch.at, *(time for one in batch.conversations for time in (one.at, one.until))]
    if not all(map(math.isfinite, times)) or batch.at < 0:
        return None
    at = sent_at - batch.at
    return replace(
        batch,
        at=at,
        reports=[
            replace(
                report,
                ejected_until=_deadline(report.ejected_until, at, MAX_EJECTION_S),
                retry_until=_deadline(report.retry_until, at, MAX_RETRY_AFTER_S),
                probe_until=_deadline(report.probe_until, at, PROBE_LEASE_S),
            )
            for report in batch.reports
        ],
        conversations=[_bounded(conversation, at) for conversation in batch.conversations],
    )


def _remaining(until: float, at: float) -> float:
    return until - at if until else 0.0


def _deadline(remaining: float, at: float, maximum: float) -> float:
    return at + min(remaining, maximum) if remaining > 0 else 0.0


def _bounded(conversation: ConversationMessage, at: float) -> ConversationMessage:
    until = at + min(conversation.until, MAX_CACHE_LIFETIME_S)
    return replace(conversation, at=at + min(conversation.at, 0.0), until=until)


def _sent_ms(entry: bytes) -> int:
    """Return when the server accepted ``entry``, in Unix milliseconds: its id begins with that."""
    return int(entry.split(b"-")[0])


def _milliseconds(server_time: Any) -> int:
    """Return the answer to TIME, seconds and microseconds, in Unix milliseconds."""
    seconds, microseconds = server_time
    return int(seconds) * 1000 + int(microseconds) // 1000
