"""Parse and write large bodies without stopping the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

# To parse or to write a smaller body takes a few milliseconds at most.
LARGE_BODY_BYTES = 256 * 1024
P = ParamSpec("P")
R = TypeVar("R")
# One thread: several would compete with the event loop for the same lock.
_thread = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")
# Seconds after which the thread hands the lock to the event loop that waits for it. The interpreter's default is 5 ms.
SWITCH_INTERVAL_S = 0.0005
_work = threading.local()


async def translate(body_bytes: int, work: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> R:
    """Return ``work(*arguments, **named)``, for a large body from a thread, and raise what it raises.

    A decoder holds the interpreter's lock, so the thread does not work at the same time as the event loop. But each
    pass over the body is a call of its own, and the loop runs between two of them.
    """
    if body_bytes < LARGE_BODY_BYTES:
        return work(*arguments, **named)
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: _yielding(work, *arguments, **named))


def is_large_work() -> bool:
    """Return whether the calling thread is the one for large bodies."""
    return getattr(_work, "is_large", False)


def _yielding(work: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> R:
    """Do the work, and hand the interpreter's lock over often meanwhile."""
    _work.is_large = True
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        return work(*arguments, **named)
    finally:
        sys.setswitchinterval(usual_s)
