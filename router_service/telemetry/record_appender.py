"""Append the records of ended requests to the log, several at a time."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from functools import partial
from time import perf_counter
from typing import Any

from data.record.encoding import encode_record
from data.record.prompt_labels import PromptLabels
from router_service.core.exchange import Exchange
from router_service.telemetry.late_labels import encode_late_labels
from router_service.telemetry.log import RequestLog
from router_service.telemetry.lookup import RecentRecords
from router_service.telemetry.record import make_record

logger = logging.getLogger(__name__)
# Records that are made in a row cost two thirds of what each costs between two requests.
MAX_PENDING = 32
# An exchange holds its request body until its record is made.
MAX_PENDING_BODY_BYTES = 1024 * 1024
# On a busy machine a turn of the event loop lasts long, and what is pending is lost with the process: after such a turn
# records are made at once for a while.
LONG_TURN_S = 0.05
HURRY_S = 1.0


class RecordAppender:
    """Append one record for each exchange that has ended. Used from the event loop's thread.

    A record waits for two turns of the event loop: a request that has arrived meanwhile is sent to its provider in the
    first, so that it does not wait for the records of earlier ones. The records of both turns are made together. With
    ``at_once``, and for ``HURRY_S`` after a turn that lasted longer than ``LONG_TURN_S``, none waits. Every reader of
    the records, and the end of the process, calls ``flush`` first. Labels that are not ready yet follow in a frame of
    their own.
    """

    def __init__(self, log: RequestLog, worker: str, *, at_once: bool = False) -> None:
        self._log = log
        self._worker = worker
        self._at_once = at_once
        self.recent = RecentRecords()
        # Each with when it ended, in seconds of ``perf_counter``.
        self._pending: list[tuple[Exchange, float]] = []
        self._body_bytes = 0
        self._scheduled: asyncio.Handle | None = None

    def add(self, exchange: Exchange) -> None:
        """Append the record of ``exchange``, which ends now."""
        self._pending.append((exchange, perf_counter()))
        self._body_bytes += exchange.request.body_bytes
        if self._at_once or len(self._pending) >= MAX_PENDING or self._body_bytes >= MAX_PENDING_BODY_BYTES:
            self.flush()
        elif self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self._wait_for_next_turn)

    def _wait_for_next_turn(self) -> None:
        loop = asyncio.get_running_loop()
        if perf_counter() - self._pending[0][1] <= LONG_TURN_S:
            self._scheduled = loop.call_soon(self.flush)
            return
        self.flush()
        self._at_once = True
        loop.call_later(HURRY_S, self._end_hurry)

    def _end_hurry(self) -> None:
        self._at_once = False

    def flush(self) -> None:
        """Append what is pending. A record that cannot be made is counted as dropped, and the others are appended."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        pending, self._pending, self._body_bytes = self._pending, [], 0
        for exchange, ended_s in pending:
            duration_us = int((ended_s - exchange.request.arrival_s) * 1e6)
            labelling = exchange.outcome.labelling
            late = None if labelling is None else labelling.unfinished
            try:
                record = make_record(exchange, self._worker, duration_us)
                payload = encode_record(record)
            except Exception:
                self._log.dropped += 1
                logger.exception("the record of request %s could not be made", exchange.request.id)
                continue
            self.recent.add(record.generation_id, payload)
            self._log.append(payload)
            if late is not None:
                late.add_done_callback(partial(self._append_late, record.generation_id))

    def _append_late(self, generation_id: str, labels: Future[PromptLabels | None]) -> None:
        """Append labels that came after their record. Called from the thread that made them."""
        if not labels.cancelled() and labels.exception() is None and (found := labels.result()) is not None:
            self._log.append(encode_late_labels(generation_id, found))

    def find(self, generation_id: str) -> dict[str, Any] | None:
        """Return the row of a recent request of this worker, or ``None``."""
        self.flush()
        return self.recent.get(generation_id)
