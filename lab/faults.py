"""Inject faults into a provider of the lab until they are removed."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, fields, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from lab.text import Completion
from lab.wire import ErrorWire

MODES = (
    *("ok", "error", "rate_limit", "hang", "stall", "reset", "slow", "html"),
    *("garble", "refuse", "fail_at_end", "downgrade"),
)
# Of tool calls, then of embeddings.
GARBLES = ("invalid_json", "unknown_name", "schema_mismatch", "missing_vector", "short_vector")
NEVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault to inject.

    These modes affect every call. ``hang`` sends nothing at all. ``html`` sends a page with status 200. ``stall`` stops
    sending, and ``reset`` closes the connection, before piece number ``after`` of the response: 0 is directly after the
    headers, 1 after the role of a stream. A non-streamed response has two pieces.

    The other modes affect the share ``rate`` of the calls. ``slow`` takes ``factor`` times as long. ``error`` responds
    with ``status`` and the provider's ``code`` and ``message``. ``rate_limit`` responds with 429 and the header
    ``retry_after``, or without it if that is null. ``garble`` corrupts tool calls or vectors in the way that ``code``
    names. ``refuse`` ends a response before its first token, as a content filter does. ``fail_at_end`` ends it with the
    finish reason of an error, which only OpenAI's format has. ``downgrade`` serves requests for another tier in the
    default tier.
    """

    mode: str = "ok"
    rate: float = 1.0
    status: int = 503
    code: str | None = None
    message: str | None = None
    retry_after: str | None = "1"
    after: int = 3
    factor: float = 4.0

    def slowness(self, dice: random.Random) -> float:
        """Return the factor by which the latencies of this call are multiplied."""
        return self.factor if self.mode == "slow" and dice.random() < self.rate else 1.0

    @property
    def breaks_off(self) -> bool:
        """Return true if a response that has started is not completed."""
        return self.mode in ("stall", "reset")

    def within(self, pieces: int) -> Fault:
        """Return the same fault, with ``after`` limited to ``pieces``."""
        return replace(self, after=min(self.after, pieces))

    def refusal(self, wire: ErrorWire, dice: random.Random) -> Response | None:
        """Return the response that replaces a completion, or ``None`` if the call is completed."""
        if self.mode == "html":
            return HTMLResponse("<!doctype html><title>Welcome</title><p>Please sign in to the network.")
        if self.mode not in ("error", "rate_limit") or dice.random() >= self.rate:
            return None
        status = 429 if self.mode == "rate_limit" else self.status
        body = wire.error(status)
        if self.code is not None:
            body["error"] |= {"type": self.code, "code": self.code}
        if self.message is not None:
            body["error"]["message"] = self.message
        wait = {"retry-after": self.retry_after} if status == 429 and self.retry_after is not None else {}
        return JSONResponse(body, status_code=status, headers=wait)

    def spoil(self, completion: Completion, dice: random.Random) -> Completion:
        """Return ``completion`` as this fault changes it."""
        if self.mode not in ("garble", "refuse", "fail_at_end") or dice.random() >= self.rate:
            return completion
        if self.mode == "garble":
            return replace(completion, garbled=self.code or "schema_mismatch")
        if self.mode == "refuse":
            return replace(completion, pieces=(), tool=None, ending="refusal")
        return replace(completion, ending="error")

    def downgrades(self, dice: random.Random) -> bool:
        return self.mode == "downgrade" and dice.random() < self.rate

    async def before(self, piece: int) -> None:
        """Stall or reset if the fault strikes before ``piece``. Await this before each piece of the response."""
        if piece == self.after and self.mode == "stall":
            await asyncio.sleep(NEVER_S)
        if piece == self.after and self.mode == "reset":
            raise ConnectionResetError("planted reset")


def read_fault(wanted: dict[str, Any] | None) -> Fault:
    """Parse a fault. Raises ``ValueError`` for an unknown field or mode."""
    fault = wanted or {}
    known = [field.name for field in fields(Fault)]
    if fault.get("mode", "ok") not in MODES or not set(fault) <= set(known):
        raise ValueError(f"a fault has the fields {', '.join(known)}, and mode is one of {', '.join(MODES)}")
    if fault.get("mode") == "garble" and fault.get("code", GARBLES[0]) not in GARBLES:
        raise ValueError(f"the code of garble is one of {', '.join(GARBLES)}")
    return Fault(**fault)


async def leaves(request: Request, seconds: float) -> bool:
    """Wait ``seconds``; return true as soon as the client disconnects. The body must have been read."""
    if seconds <= 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
