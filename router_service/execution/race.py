"""Race a request and its hedged request for one response.

The first call runs in its caller's task. The hedged request gets a task of its own, and only if the first call is late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum, auto
from typing import Any, Generic, TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")


class RaceStage(Enum):
    """Name the stages of a race."""

    FIRST = auto()  # the first call is running, alone or beside the hedged request
    HEDGE = auto()  # the first call has failed, and the hedged request is running
    WON = auto()  # the hedged request was faster
    OVER = auto()


class Race(Generic[T]):
    """Run a race. ``hedge`` is called when the first call is late; it returns the hedged request, or ``None`` for none.

    ``discard`` receives a response that came too late to be used, ``failed`` the error of a hedged request while the
    first call is running.
    """

    def __init__(
        self,
        hedge: Callable[[], Coroutine[Any, Any, T] | None],
        discard: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._hedge = hedge
        self._discard = discard
        self._failed = failed
        self._task: asyncio.Task[T] | None = None
        self._stage = RaceStage.FIRST

    @property
    def hedge_won(self) -> bool:
        """Return whether the hedged request was faster."""
        return self._stage is RaceStage.WON

    async def run(self, first: Awaitable[T], after_s: float) -> T:
        """Return the response that comes first; an error counts only if no other call is running.

        ``after_s`` is in seconds. A caller that cancels this coroutine cancels both calls. The loser is cancelled and
        not awaited. No task is created for a first call that ends within ``after_s``; a hedged request that wins
        cancels the first call in this task, as a timeout would.
        """
        owner = asyncio.current_task()
        assert owner is not None
        self._owner = owner
        cancelling = owner.cancelling()
        timer = asyncio.get_running_loop().call_later(after_s, self._start_hedge)
        try:
            answer = await first
        except asyncio.CancelledError:
            task = self._task
            if self._stage is RaceStage.WON and task is not None:
                if owner.uncancel() <= cancelling:
                    return task.result()
                self._discard(task.result())
            self._finish()
            raise
        except BaseException:
            task = self._task
            if task is None or (task.done() and task.exception() is not None):
                self._stage = RaceStage.OVER
                raise
            return await self._await_hedge(task)
        finally:
            timer.cancel()
        self._finish()
        return answer

    async def _await_hedge(self, task: asyncio.Task[T]) -> T:
        """Return the result of the hedged request after the first call has failed."""
        self._stage = RaceStage.HEDGE
        try:
            return await task
        except asyncio.CancelledError:
            if task.done() and not task.cancelled():
                self._discard(task.result())
            raise

    def _start_hedge(self) -> None:
        call = self._hedge()
        if call is not None:
            self._task = asyncio.get_running_loop().create_task(call)
            self._task.add_done_callback(self._hedge_ended)

    def _hedge_ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            if self._stage is RaceStage.FIRST:
                self._failed(error)
        elif self._stage is RaceStage.FIRST:
            self._stage = RaceStage.WON
            self._owner.cancel()
        elif self._stage is RaceStage.OVER:
            self._discard(task.result())

    def _finish(self) -> None:
        self._stage = RaceStage.OVER
        if self._task is not None:
            self._task.cancel()
