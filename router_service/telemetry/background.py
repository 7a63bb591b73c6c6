"""Run jobs that may wait for the disk in a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Run jobs one after the other. An executor would not do: it keeps the process alive while a job hangs."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Return the future result of ``job``, which runs after those before it."""
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def close(self, timeout_s: float) -> None:
        """Let the thread end after its jobs, and wait for that."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (one := self._jobs.get()) is not None:
            job, future = one
            try:
                result = job()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
