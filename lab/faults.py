"""Faults that are planted in a provider of the lab, until they are taken away."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, fields, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from lab.openai_wire import Wire
from lab.text import Completion

MODES = ("ok", "error", "rate_limit", "hang", "stall", "reset", "slow", "html", "garble", "refuse", "fail_at_end")
GARBLES = ("invalid_json", "unknown_name", "schema_mismatch")
NEVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    ``hang`` sends nothing at all, ``html`` a page with status 200. ``stall`` falls silent, and ``reset`` breaks the
    connection, before piece number ``after`` of the answer: 0 is right after the headers, 1 after a stream's role;
    a whole answer has two pieces. ``slow`` takes ``factor`` times as long.

    ``rate`` is the share of calls that the others hit: ``error`` (by ``status`` and the provider's ``code`` and
    ``message``), ``rate_limit`` (with ``retry_after`` as the header, none where null), ``garble``, which spoils tool
    calls in the way that ``code`` names, ``refuse``, which ends an answer before its first token as a content filter
    does, and ``fail_at_end``, an answer's last word being that it failed (OpenAI's format alone has one).
    """

    mode: str = "ok"
    rate: float = 1.0
    status: int = 503
    code: str | None = None
    message: str | None = None
    retry_after: str | None = "1"
    after: int = 3
    factor: float = 4.0

    @property
    def slowness(self) -> float:
        return self.factor if self.mode == "slow" else 1.0

    @property
    def breaks_off(self) -> bool:
        """Whether an answer that has begun does not come to its end."""
        return self.mode in ("stall", "reset")

    def within(self, pieces: int) -> Fault:
        """The same, at the latest before piece number ``pieces``."""
        return replace(self, after=min(self.after, pieces))

    def refusal(self, wire: Wire, dice: random.Random) -> Response | None:
        """The answer in place of a completion, where there is one."""
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
        """``completion`` as this fault leaves it."""
        if self.mode not in ("garble", "refuse", "fail_at_end") or dice.random() >= self.rate:
            return completion
        if self.mode == "garble":
            return replace(completion, garbled=self.code or "schema_mismatch")
        if self.mode == "refuse":
            return replace(completion, pieces=(), tool=None, ending="refusal")
        return replace(completion, ending="error")

    async def before(self, piece: int) -> None:
        """To be awaited before each piece of the answer."""
        if piece == self.after and self.mode == "stall":
            await asyncio.sleep(NEVER_S)
        if piece == self.after and self.mode == "reset":
            raise ConnectionResetError("planted reset")


def read_fault(wanted: dict[str, Any] | None) -> Fault:
    """Raises ``ValueError`` for what is no fault."""
    fault = wanted or {}
    known = [field.name for field in fields(Fault)]
    if fault.get("mode", "ok") not in MODES or not set(fault) <= set(known):
        raise ValueError(f"a fault has the fields {', '.join(known)}, and mode is one of {', '.join(MODES)}")
    if fault.get("mode") == "garble" and fault.get("code", GARBLES[0]) not in GARBLES:
        raise ValueError(f"the code of garble is one of {', '.join(GARBLES)}")
    return Fault(**fault)


async def leaves(request: Request, seconds: float) -> bool:
    """Wait; true as soon as the client has left. The body must have been read."""
    if seconds <= 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
