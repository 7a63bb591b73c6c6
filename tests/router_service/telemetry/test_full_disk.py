"""A router whose disk is full, on a real file system: what it acknowledged is in the lake once, or counted as lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from data.lake import Lake
from data.record.encoding import encode_record
from router_service.admission.keys import create_key, open_database
from router_service.telemetry.log import RequestLog
from router_service.telemetry.sealing import recover
from tests.load import Load
from tests.router_service.telemetry.test_log import ids, record
from tests.running import Running, free_port, portolan, until

DISK_BYTES = 64 * 1024 * 1024
WAITING = re.compile(r"^log_records_waiting (\S+)$", re.MULTILINE)
LOST = re.compile(r"request log: (\d+) records are lost")


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A small file system of its own in ``folder``."""
    if os.geteuid():
        pytest.skip("only root can mount a file system to fill")
    folder.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
    done = subprocess.run(["mount", *options], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system to fill cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk") as folder:
        yield folder


def fill(filler: Path) -> None:
    """Take the last byte of the disk that ``filler`` lies on."""
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


class Full:
    """A router on ``disk`` that is filled and freed while clients go on."""

    def __init__(self, disk: Path, lab_url: str, workers: int = 1, **settings: str) -> None:
        self.disk = disk
        self.lake = Lake(disk / "data").create()
        self._filler = disk / "filler"
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        self._key = create_key(open_database(self.lake.database), "load")
        self._workers = workers
        self._settings = {"PORTOLAN_LAB_URL": lab_url} | settings
        self.acknowledged: list[str] = []

    def start(self, output: Path) -> Running:
        serve = ("serve", "--workers", str(self._workers), "--port", str(self._port))
        return Running(output, *serve, "--data-dir", str(self.lake.root), **self._settings)

    def ready(self, router: Running) -> None:
        router.ready(f"{self._url}/health")

    def fill(self) -> None:
        fill(self._filler)

    def free(self) -> None:
        self._filler.unlink()

    def send(self, requests: int) -> None:
        """Send ``requests`` and wait for all answers."""
        load = Load(self._url, self._key, most=requests)
        load.run()
        assert len(load.ended) == requests, load.broken
        self.acknowledged += [answer.id for answer in load.ended]

    def waiting(self) -> int:
        """Records that one of the workers cannot write."""
        found = WAITING.search(httpx2.get(f"{self._url}/metrics").text)
        assert found is not None
        return int(float(found[1]))

    def until_waiting(self) -> None:
        until(lambda: all(self.waiting() for _ in range(8 * self._workers)), "records of every worker wait")

    def restart(self, output: Path) -> None:
        """Start once more, which seals what was left, and end."""
        with self.start(output) as router:
            self.ready(router)
            assert router.end() in (0, -signal.SIGTERM), router.output

    def check(self, lost: int = 0, unacknowledged: int = 0) -> None:
        """Every acknowledged request is in the lake once, except ``lost``; at most ``unacknowledged`` others are."""
        recover(self.lake)
        found = Counter(ids(self.lake))
        assert [name for name, count in found.items() if count > 1] == []
        assert len(set(self.acknowledged) - found.keys()) == lost
        assert len(found.keys() - set(self.acknowledged)) <= unacknowledged
        assert [path.name for path in self.lake.log.iterdir()] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_records_that_wait_for_a_full_disk_outlive_sigterm(
    disk: Path, tmp_path: Path, lab_url: str, workers: int
) -> None:
    full = Full(disk, lab_url, workers, PORTOLAN_LOG_RESERVE_BYTES=str(4 * 1024 * 1024))
    with full.start(tmp_path / "output") as router:
        full.ready(router)
        until(lambda: len(list(full.lake.log.glob("*.reserve"))) == workers, "each worker has its reserve")
        full.send(100)
        full.fill()
        full.send(200)
        full.until_waiting()
        assert router.end() in (0, -signal.SIGTERM), router.output
        until(lambda: not router.alive(), f"all have ended, but {router.alive()}")
        # What the first worker gives back may be room enough for the second.
        assert 1 <= len(re.findall("records that waited for the disk are in its reserve", router.output)) <= workers
        assert "lost" not in router.output
        assert "Traceback" not in router.output
    full.free()
    if workers == 1:
        full.restart(tmp_path / "again")
    full.check()


def test_a_disk_that_is_freed_while_the_router_ends_takes_all(disk: Path, tmp_path: Path, lab_url: str) -> None:
    """Further signals, while it waits for the disk, change nothing."""
    full = Full(disk, lab_url, PORTOLAN_LOG_RESERVE_BYTES="0", PORTOLAN_LOG_DRAIN_TIMEOUT="600")
    with full.start(tmp_path / "output") as router:
        full.ready(router)
        full.send(20)
        full.fill()
        full.send(100)
        full.until_waiting()
        router.process.send_signal(signal.SIGTERM)
        until(lambda: "wait up to 600 s" in router.output, "it waits for the disk")
        router.process.send_signal(signal.SIGTERM)
        router.process.send_signal(signal.SIGINT)
        full.free()
        router.process.wait(60)
        assert "lost" not in router.output
        assert "Traceback" not in router.output
    full.check()


def test_an_impatient_ctrl_c_does_not_skip_the_log(disk: Path, tmp_path: Path, lab_url: str) -> None:
    """The second comes while the first still waits for a client."""
    full = Full(disk, lab_url, PORTOLAN_LOG_RESERVE_BYTES=str(4 * 1024 * 1024))
    with full.start(tmp_path / "output") as router:
        full.ready(router)
        until(lambda: list(full.lake.log.glob("*.reserve")), "the reserve is there")
        full.send(20)
        full.fill()
        full.send(100)
        full.until_waiting()
        load = Load(full._url, full._key, width=4)
        client = threading.Thread(target=load.run)
        client.start()
        # A connection that is opened while the router ends is refused.
        until(lambda: len(load.ended) > 5 * load.width, "requests are under way on every connection")
        router.process.send_signal(signal.SIGINT)
        router.process.send_signal(signal.SIGINT)
        router.process.wait(60)
        load.stopped = True
        client.join()
        assert "lost" not in router.output
    full.acknowledged += [answer.id for answer in load.ended]
    full.free()
    full.check(unacknowledged=load.width)


@pytest.mark.parametrize("reserve", [0, 65536])
def test_what_a_full_disk_never_takes_is_counted(disk: Path, tmp_path: Path, lab_url: str, reserve: int) -> None:
    full = Full(disk, lab_url, PORTOLAN_LOG_RESERVE_BYTES=str(reserve), PORTOLAN_LOG_DRAIN_TIMEOUT="1")
    with full.start(tmp_path / "output") as router:
        full.ready(router)
        until(lambda: not reserve or list(full.lake.log.glob("*.reserve")), "the reserve is there")
        full.send(20)
        full.fill()
        full.send(100)
        full.until_waiting()
        router.process.send_signal(signal.SIGTERM)
        router.process.wait(60)
        (lost,) = (int(count) for count in LOST.findall(router.output))
        # The last of the first 20 may still have waited for the disk when it was filled.
        assert 0 < lost <= 120
        assert (lost < 100) == bool(reserve), "as many as there is room for are kept"
    full.free()
    full.check(lost)


def test_a_router_does_not_start_on_a_full_disk_and_says_why(disk: Path) -> None:
    lake = Lake(disk / "data").create()
    open_database(lake.database).dispose()
    fill(disk / "filler")
    for command in (("serve", "--port", str(free_port())), ("keys", "create", "--name", "late")):
        done = portolan(*command, "--data-dir", str(lake.root))
        assert done.returncode == 2, done.stderr
        assert "Is the disk full" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_disk_that_is_full_before_the_first_record(disk: Path) -> None:
    lake = Lake(disk / "data").create()
    fill(disk / "filler")
    log = RequestLog(lake, "w", reserve_bytes=65536, drain_seconds=600)
    for number in range(20):
        log.append(encode_record(record(number)))
    until(lambda: log.failures, "writing fails")
    closing = threading.Thread(target=log.close)
    closing.start()
    (disk / "filler").unlink()
    closing.join(60)
    assert not closing.is_alive()
    recover(lake)
    assert ids(lake) == sorted(record(number).generation_id for number in range(20))
    assert list(lake.log.iterdir()) == []


def test_a_disk_that_is_read_only_for_a_while_takes_all_afterwards(disk: Path) -> None:
    lake = Lake(disk / "data").create()
    log = RequestLog(lake, "w", rotate_seconds=0, drain_seconds=600)
    log.append(encode_record(record(0)))
    until(lambda: list(lake.log.glob("*.wal")), "the segment is finished")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for number in range(1, 20):
        log.append(encode_record(record(number)))
    until(lambda: log.failures, "writing fails")
    closing = threading.Thread(target=log.close)
    closing.start()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    closing.join(60)
    assert not closing.is_alive()
    recover(lake)
    assert ids(lake) == sorted(record(number).generation_id for number in range(20))


def test_a_disk_that_stays_read_only_loses_what_it_says(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = Lake(disk / "data").create()
    log = RequestLog(lake, "w", drain_seconds=0)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for number in range(3):
        log.append(encode_record(record(number)))
    log.close()
    assert log.dropped == 3
    assert "request log: 3 records are lost, they could not be written: [Errno 30]" in caplog.text
    assert not log.append(encode_record(record(3)))
    assert log.dropped == 4


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("comes_back", [True, False])
def test_records_wait_for_a_disk_that_is_unmounted(disk: Path, tmp_path: Path, comes_back: bool) -> None:
    """They are written when it is mounted again, and together with the open segment to another disk in its place."""
    place = tmp_path / "place"
    place.mkdir()
    if comes_back:
        subprocess.run(["mount", "--bind", str(disk), str(place)], check=True)
    else:
        unmount(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=True)
    lake = Lake(place).create()
    log = RequestLog(lake, "w", rotate_seconds=3600, reserve_bytes=4096)
    sent = [record(number) for number in range(6)]
    try:
        for one in sent[:3]:
            log.append(encode_record(one))
        log.flush()
        unmount(place)
        until(lambda: not log.healthy, "the log is not healthy")
        for one in sent[3:]:
            log.append(encode_record(one))
        until(lambda: log.failures > 3, "records wait")
        assert list(place.iterdir()) == []
        subprocess.run(["mount", "--bind", str(disk), str(place)], check=True)
        until(lambda: log.healthy and not log.waiting, "the records are written")
        log.close()
        recover(lake)
        assert ids(lake) == sorted(one.generation_id for one in sent)
    finally:
        log.close()
        unmount(place)


def test_a_reserve_that_was_deleted_is_made_again(disk: Path) -> None:
    """Records that were written to a deleted one would be lost."""
    lake = Lake(disk).create()
    log = RequestLog(lake, "w", reserve_bytes=4096)
    try:
        until(lambda: list(lake.log.glob("*.reserve")), "the log has its reserve")
        next(lake.log.glob("*.reserve")).unlink()
        log.append(encode_record(record(1)))
        until(lambda: list(lake.log.glob("*.reserve")), "the log has a reserve again")
    finally:
        log.close()
