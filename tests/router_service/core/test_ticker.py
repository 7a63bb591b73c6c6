"""Test that one timer serves many objects, and that none of them harms another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router_service.core.ticker import Ticker, running_ticker


class Counted:
    """Count the calls, set ``called`` and do something at each."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.count = 0
        self.called = asyncio.Event()
        self._then = then

    def tick(self) -> None:
        self.count += 1
        self.called.set()
        self._then()


def broken() -> None:
    raise ValueError("broken")


async def called_again(*watched: Counted) -> None:
    for one in watched:
        one.called.clear()
    for one in watched:
        await asyncio.wait_for(one.called.wait(), 60)


async def test_each_is_called_until_it_is_removed() -> None:
    ticker = running_ticker()
    assert ticker is running_ticker()
    first, second = Counted(), Counted()
    ticker.add(first)
    ticker.add(second)
    await called_again(first, second)
    ticker.remove(first)
    count = first.count
    await called_again(second)
    assert first.count == count


async def test_one_that_fails_is_logged_and_the_others_are_called() -> None:
    ticker = running_ticker()
    bad, good = Counted(broken), Counted()
    ticker.add(bad)
    ticker.add(good)
    await called_again(bad, good)
    await called_again(bad, good)
    ticker.remove(bad)
    ticker.remove(good)


async def test_one_that_another_removes_in_the_same_turn_is_not_called() -> None:
    ticker = running_ticker()
    pair: list[Counted] = []
    pair += [Counted(lambda: ticker.remove(pair[1])), Counted(lambda: ticker.remove(pair[0]))]
    third = Counted()
    for one in (*pair, third):
        ticker.add(one)
    await called_again(third)
    await called_again(third)
    ticker.remove(third)
    assert 0 in {one.count for one in pair} and any(one.count for one in pair)


def test_each_event_loop_has_its_own() -> None:
    async def found() -> Ticker:
        return running_ticker()

    assert asyncio.run(found()) is not asyncio.run(found())
