"""Two calls for one answer: the first in its caller's own task, the second in another if the first is late."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum, auto
from typing import Any, Generic, TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")


class RaceStage(Enum):
    FIRST = auto()  # the first call goes on, alone or not
    SECOND = auto()  # it has failed, the second goes on
    WON = auto()  # the second was sooner
    OVER = auto()


class Race(Generic[T]):
    """``second`` is asked for a call when the first is late; ``None`` is no. ``discard`` gets an answer that came
    too late to be taken, ``failed`` the error of a second call while the first goes on.
    """

    def __init__(
        self,
        second: Callable[[], Coroutine[Any, Any, T] | None],
        discard: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._second = second
        self._discard = discard
        self._failed = failed
        self._task: asyncio.Task[T] | None = None
        self._stage = RaceStage.FIRST

    @property
    def won(self) -> bool:
        """Whether the second was sooner."""
        return self._stage is RaceStage.WON

    async def run(self, first: Awaitable[T], after_s: float) -> T:
        """The answer that comes first; while one is left an error of the other is none.

        Whoever cancels this cancels both. The loser is cancelled and not waited for. No task is made for a first
        call that ends within ``after_s``; a second that wins cancels the first in this task, as a timeout would.
        """
        owner = asyncio.current_task()
        assert owner is not None
        self._owner = owner
        cancelling = owner.cancelling()
        timer = asyncio.get_running_loop().call_later(after_s, self._begin)
        try:
            answer = await first
        except asyncio.CancelledError:
            task = self._task
            if self._stage is RaceStage.WON and task is not None:
                if owner.uncancel() <= cancelling:
                    return task.result()
                self._discard(task.result())
            self._end()
            raise
        except BaseException:
            task = self._task
            if task is None or (task.done() and task.exception() is not None):
                self._stage = RaceStage.OVER
                raise
            return await self._alone(task)
        finally:
            timer.cancel()
        self._end()
        return answer

    async def _alone(self, task: asyncio.Task[T]) -> T:
        """What the second makes of it, now that the first has failed."""
        self._stage = RaceStage.SECOND
        try:
            return await task
        except asyncio.CancelledError:
            if task.done() and not task.cancelled():
                self._discard(task.result())
            raise

    def _begin(self) -> None:
        call = self._second()
        if call is not None:
            self._task = asyncio.get_running_loop().create_task(call)
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
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

    def _end(self) -> None:
        self._stage = RaceStage.OVER
        if self._task is not None:
            self._task.cancel()
