"""The whole router killed under load: what was answered 200 ms before is in the lake, once, and whole."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.record.lake_reader import open_dataset, request_files
from data.record.record import RECORD_SCHEMA
from router_service.admission.keys import create_key, open_database
from tests.load import Answer, Load
from tests.running import Running, free_port, until

PROMISE_S = 0.2
READING_S = 0.1
# Rounds of the slow test; each kills a process under load, and the next start amid its recovery.
SLOW_ROUNDS = int(os.environ.get("CRASH_ROUNDS", "15"))
VICTIMS = ("all", "worker", "parent", "sealer")


def stored(lake: Lake) -> pa.Table:
    """Every row of the lake; reading fails when a file is not of the schema."""
    files = request_files(lake)
    for file in files:
        assert pq.read_schema(file).equals(RECORD_SCHEMA), file
    table = open_dataset(files).to_table()
    table.validate(full=True)
    return table


def check(row: dict[str, object], answer: Answer | None) -> None:
    """A row is whole, and says of an answer what its client saw."""
    assert str(row["generation_id"]).startswith(f"gen-{int(row['started_at'].timestamp())}-")  # type: ignore[attr-defined]
    assert [name for name in RECORD_SCHEMA.names if row[name] is None and not RECORD_SCHEMA.field(name).nullable] == []
    assert row["cost_nano"] == row["cost_prompt_nano"] + row["cost_cached_nano"] + row["cost_completion_nano"]  # type: ignore[operator]
    assert row["attempts"] or row["cancelled"] or row["error_type"]
    if answer is not None:
        assert (row["requested_model"], row["stream"], row["status"]) == (answer.model, answer.stream, answer.status)


class Crash:
    """A router that is loaded, killed and started again on the same data."""

    def __init__(self, folder: Path, lab_url: str, seed: int) -> None:
        self._folder, self._lab_url = folder, lab_url
        self._dice = random.Random(seed)
        self._port = free_port()
        self.lake = Lake(folder / "data").create()
        self._key = create_key(open_database(self.lake.database), "load")
        self.answers: dict[str, Answer] = {}
        # The least time between the end of an answer and a kill, for those older than the promise and for the others.
        self.promised: dict[str, float] = {}
        self.late: dict[str, float] = {}
        self.killed: Counter[str] = Counter()

    def start(self) -> Running:
        serve = ("serve", "--workers", "2", "--port", str(self._port), "--data-dir", str(self.lake.root))
        return Running(self._folder / "output", *serve, PORTOLAN_LAB_URL=self._lab_url)

    def ready(self, router: Running) -> None:
        router.ready(f"http://127.0.0.1:{self._port}/health")

    def files(self) -> set[Path]:
        return {*self.lake.log.iterdir(), *self.lake.requests.rglob("*")}

    def stillborn(self) -> None:
        """Kill in the middle of recovery, when its first file has come or gone."""
        before = self.files()
        with self.start() as router:
            deadline = time.monotonic() + 30
            while self.files() == before and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(self._dice.uniform(0, 0.005))
            router.kill()

    def round(self, victim: str) -> None:
        """Load, and kill ``victim`` at a moment of chance; in the end all that is left."""
        self.killed[victim] += 1
        moments: list[float] = []
        with self.start() as router:
            self.ready(router)
            load = Load(f"http://127.0.0.1:{self._port}", self._key)
            client = threading.Thread(target=load.run)
            client.start()
            try:
                while len(load.ended) < 20:
                    assert client.is_alive(), router.output
                    time.sleep(0.01)
                time.sleep(self._dice.uniform(0.2, 3.0))
                if victim != "all":
                    moments.append(kill_one(router, victim, self._dice))
                    time.sleep(self._dice.uniform(0.2, 2.0))
                moments.append(time.monotonic())
                if victim == "parent":
                    # The workers end by themselves, in good order.
                    load.stopped = True
                    until(lambda: not router.alive(), f"the workers have ended, but {router.alive()}")
                else:
                    router.kill()
            finally:
                load.stopped = True
                client.join()
        self.answers |= {answer.id: answer for answer in load.answers}
        for answer in load.ended:
            assert answer.ended is not None
            # The client may read an answer a moment after the process that sent it was killed.
            after = [moment - answer.ended for moment in moments if moment + READING_S >= answer.ended]
            # One that ended within the promise before any of the kills may have been that process's.
            if after and min(after) > PROMISE_S:
                self.promised[answer.id] = min(after)
            else:
                self.late[answer.id] = min(after, default=0.0)

    def settle(self) -> None:
        """Start once more, which recovers, and end in good order."""
        with self.start() as router:
            self.ready(router)
            assert router.end() == 0, router.output
            # The resource tracker of multiprocessing ends a moment after its parent.
            until(lambda: not router.alive(), f"all have ended, but {router.alive()}")


def kill_one(router: Running, victim: str, dice: random.Random) -> float:
    """Kill the parent, one of its workers or one of the processes that seal; return when, on the monotonic clock.

    To find it takes a while, in which more answers end.
    """
    found = {"parent": [router.process.pid], "worker": [], "sealer": []}
    for pid in router.alive():
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"telemetry.sealer" in command:
                found["sealer"].append(pid)
            elif b"spawn_main" in command:
                found["worker"].append(pid)
    if found[victim]:
        with suppress(ProcessLookupError):
            os.kill(dice.choice(found[victim]), signal.SIGKILL)
    return time.monotonic()


def crash(folder: Path, lab_url: str, seed: int, rounds: int) -> str:
    """The whole experiment; returns what it cost in the last 200 ms."""
    stack = Crash(folder, lab_url, seed)
    for number in range(rounds):
        stack.round(VICTIMS[number % len(VICTIMS)])
        stack.stillborn()
    stack.settle()
    rows = stored(stack.lake).to_pylist()
    found = Counter(row["generation_id"] for row in rows)
    assert [name for name, count in found.items() if count > 1] == []
    assert {name: age for name, age in stack.promised.items() if name not in found} == {}
    for row in rows:
        check(row, stack.answers.get(row["generation_id"]))
    # A segment that was killed before it had its name holds no record, and is removed after a minute.
    assert [path.name for path in stack.lake.log.iterdir() if path.suffix != ".new"] == []
    assert [path.name for path in stack.lake.requests.rglob("*") if path.is_file() and path.suffix != ".parquet"] == []
    lost = [age for name, age in stack.late.items() if name not in found]
    return (
        f"{rounds} crashes ({dict(stack.killed)}), each with one amid recovery: "
        f"{len(stack.promised)} answers older than {PROMISE_S:g} s, none lost; "
        f"{len(stack.late)} younger, {len(lost)} of them lost, the oldest of {max(lost, default=0):.3f} s"
    )


def test_a_crash_of_every_process_costs_nothing_older_than_200_ms(
    tmp_path: Path, lab_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = crash(tmp_path, lab_url, seed=5, rounds=3)
    with capsys.disabled():
        print(f"\n{said}")


@pytest.mark.slow
def test_many_crashes_cost_nothing_older_than_200_ms(
    tmp_path: Path, lab_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``CRASH_ROUNDS=100`` makes 200 kills, since each round has one amid the recovery from the other."""
    said = crash(tmp_path, lab_url, seed=6, rounds=SLOW_ROUNDS)
    with capsys.disabled():
        print(f"\n{said}")
