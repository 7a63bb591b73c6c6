"""Nothing that was accepted is lost, and nothing is there twice."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.record.encoding import decode_record, encode_record
from data.record.lake_reader import open_dataset, request_files
from data.record.prompt_labels import PromptLabels
from data.record.record import Record
from router_service.telemetry import log as log_module
from router_service.telemetry import sealing
from router_service.telemetry.frames import frame, read_frames
from router_service.telemetry.late_labels import encode_late_labels
from router_service.telemetry.log import RequestLog
from router_service.telemetry.sealing import recover, seal
from tests.running import until


def record(number: int) -> Record:
    moment = 1_795_000_000_000_000 + number * 30_000_000_000
    return Record(f"gen-{moment // 1_000_000}-{number}", moment, "w", "a/b", True, 200, 10)


def ids(lake: Lake) -> list[str]:
    return sorted(open_dataset(request_files(lake)).to_table()["generation_id"].to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path).create()


def test_a_segment_cut_at_any_byte_gives_every_whole_frame() -> None:
    payloads = [msgspec.msgpack.encode(record(n)) for n in range(4)]
    content = b"".join(map(frame, payloads))
    edges = [len(b"".join(map(frame, payloads[:n]))) for n in range(5)]
    for cut in range(len(content) + 1):
        found = read_frames(content[:cut])
        whole = sum(edge <= cut for edge in edges) - 1
        assert found.payloads == payloads[:whole]
        assert found.lost_bytes == cut - edges[whole]


def test_zeroed_ranges_never_give_a_wrong_record() -> None:
    payloads = [msgspec.msgpack.encode(record(n)) for n in range(6)]
    content = b"".join(map(frame, payloads))
    dice = random.Random(1)
    for _ in range(2000):
        start = dice.randrange(len(content))
        end = min(len(content), start + dice.randrange(1, 300))
        damaged = content[:start] + bytes(end - start) + content[end:]
        found = read_frames(damaged).payloads
        assert found == payloads[: len(found)]


def test_closing_leaves_parquet_by_day(lake: Lake) -> None:
    log = RequestLog(lake, "w")
    for number in range(10):
        assert log.append(encode_record(record(number)))
    log.close()
    (report,) = recover(lake)
    assert (report.rows, report.lost_bytes, log.written) == (10, 0, 10)
    assert ids(lake) == sorted(record(n).generation_id for n in range(10))
    assert len(list(lake.requests.glob("day=*"))) > 1
    assert list(lake.log.iterdir()) == []


def test_a_living_writers_segment_is_left_alone(lake: Lake) -> None:
    log = RequestLog(lake, "w")
    log.append(encode_record(record(1)))
    until(lambda: log.written, "the record is written")
    assert recover(lake) == []
    log.close()
    assert len(recover(lake)) == 1


@pytest.mark.parametrize("step", ["_write_parquet", "unlink"])
def test_a_crash_between_the_steps_of_sealing_repeats_no_row(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    log = RequestLog(lake, "w")
    for number in range(5):
        log.append(encode_record(record(number)))
    log.close()
    (segment,) = lake.log.iterdir()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*((sealing, step) if step == "_write_parquet" else (Path, step)), crash)
        with pytest.raises(KeyboardInterrupt):
            seal(lake, segment)
    recover(lake)
    assert ids(lake) == sorted(record(n).generation_id for n in range(5))


def test_a_frame_that_is_no_record_is_kept_apart(lake: Lake) -> None:
    good = frame(msgspec.msgpack.encode(record(1)))
    (lake.log / "x-1-1.wal").write_bytes(good + frame(b"\x93\x01\x02\x03") + good[:20])
    (report,) = recover(lake)
    assert (report.rows, report.quarantined, report.lost_bytes) == (1, 1, 20)
    assert len(list((lake.log / "quarantine").iterdir())) == 1


def test_labels_that_come_later_are_merged_into_their_record(lake: Lake) -> None:
    """Wherever in the segment they are. Those of a record of another segment are no row, and not kept apart."""
    first, second = (encode_record(record(number)) for number in range(2))
    labels = PromptLabels("legal", 0.9, "m@1", "qa_knowledge", 0.8, "en", 0.7, "python")
    late = [encode_late_labels(record(number).generation_id, labels) for number in (0, 2)]
    (lake.log / "x-1-1.wal").write_bytes(b"".join(map(frame, (first, *late, second))))
    (report,) = recover(lake)
    assert (report.rows, report.quarantined) == (2, 0)
    rows = {row["generation_id"]: row for row in pq.read_table(lake.requests).to_pylist()}
    assert set(rows) == {record(0).generation_id, record(1).generation_id}
    names = ("category_version" if name == "version" else name for name in PromptLabels._fields)
    assert tuple(rows[record(0).generation_id][name] for name in names) == pytest.approx(labels)
    assert rows[record(1).generation_id]["category"] is None


def test_what_a_crash_left_half_made_is_cleared_away(lake: Lake) -> None:
    (lake.log / "x-1-1.wal").write_bytes(frame(msgspec.msgpack.encode(record(1))))
    (unnamed := lake.log / "x-1-2.new").touch()
    (day := lake.requests / f"day={datetime.fromtimestamp(record(1).started_at / 1e6, UTC):%Y-%m-%d}").mkdir()
    (day / ".x-1-1.77.tmp").write_bytes(b"PAR1")
    os.utime(unnamed, (0, 0))
    (young := lake.log / "x-1-3.new").touch()
    recover(lake)
    assert [path.name for path in day.iterdir()] == ["x-1-1.parquet"]
    assert list(lake.log.iterdir()) == [young]


def test_a_full_queue_drops_the_newest_and_counts(lake: Lake) -> None:
    log = RequestLog(lake, "w", queue_size=0)
    assert not log.append(encode_record(record(1)))
    assert log.dropped == 1
    log.close()


def test_kill_9_under_load_loses_nothing_older_than_200_ms(lake: Lake) -> None:
    """Nor does it where no sync returns, as in every other attempt."""
    dice = random.Random(3)
    promised: list[str] = []
    for attempt in range(4):
        arguments = [sys.executable, "-m", "tests.log_writer", str(lake.root), str(attempt), *["hang"] * (attempt % 2)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            promised.append(writer.stdout.readline().strip())
            time.sleep(dice.uniform(0.1, 0.9))
            writer.send_signal(signal.SIGKILL)
            promised += [line.strip() for line in writer.stdout if line.endswith("\n")]
    recover(lake)
    found = ids(lake)
    assert len(found) == len(set(found))
    assert set(promised) <= set(found)
    assert len(promised) > 100


def failing(patched: pytest.MonkeyPatch, name: str, code: int, times: int) -> list[int]:
    """Let the first ``times`` calls of ``os.name`` by a log's threads fail with ``code``; return those that did."""
    call, failed = getattr(os, name), list[int]()

    def refuse(*arguments: object) -> object:
        if threading.current_thread().name.startswith("request-log") and len(failed) < times:
            failed.append(code)
            raise OSError(code, os.strerror(code))
        return call(*arguments)

    patched.setattr(os, name, refuse)
    return failed


@pytest.mark.parametrize(
    "faults",
    [
        {"pwrite": errno.EDQUOT},
        {"fdatasync": errno.EIO},
        {"fdatasync": errno.EIO, "fsync": errno.EIO},
        {"fsync": errno.EIO},
        {"replace": errno.EROFS},
    ],
    ids=lambda faults: " and ".join(faults),
)
@pytest.mark.parametrize("closing", [False, True])
def test_system_calls_that_fail_for_a_while_cost_and_repeat_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, faults: dict[str, int], closing: bool
) -> None:
    log = RequestLog(lake, "w")
    with monkeypatch.context() as patched:
        counts = [failing(patched, name, code, 2) for name, code in faults.items()]
        for number in range(20):
            log.append(encode_record(record(number)))
        if not closing:
            until(lambda: log.written == 20, "all is written")
            for number in range(20, 25):
                log.append(encode_record(record(number)))
        log.close()
    assert all(counts)
    assert (log.dropped, log.waiting) == (0, 0)
    recover(lake)
    assert ids(lake) == sorted(record(n).generation_id for n in range(20 if closing else 25))
    assert list(lake.log.iterdir()) == []


class HangingSync:
    """Let each ``os.fdatasync`` hang until it is answered, or all are."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.hangs, self._answers, self._sync = threading.Semaphore(0), threading.Semaphore(0), os.fdatasync
        patched.setattr(os, "fdatasync", self._hang)

    def answer(self, times: int = 1000) -> None:
        self._answers.release(times)

    def _hang(self, file: int) -> None:
        self.hangs.release()
        self._answers.acquire(timeout=120)
        self._sync(file)


def in_segments(lake: Lake) -> list[str]:
    """The ids that a start after ``kill -9`` would find now."""
    segments = [read_frames(path.read_bytes()).payloads for path in lake.log.glob("*.open")]
    return sorted(decode_record(payload).generation_id for payloads in segments for payload in payloads)


@pytest.mark.parametrize("rotate_seconds", [3600, 0])
def test_records_are_written_while_a_sync_hangs(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, rotate_seconds: int
) -> None:
    """Also to the segment after the one that is to be finished; a third is not begun."""
    sync = HangingSync(monkeypatch)
    log = RequestLog(lake, "w", rotate_seconds=rotate_seconds)
    sent = [record(number) for number in range(40)]
    log.append(encode_record(sent[0]))
    assert sync.hangs.acquire(timeout=60)
    for one in sent[1:]:
        log.append(encode_record(one))
        log.flush(60)
    assert in_segments(lake) == sorted(one.generation_id for one in sent)
    assert len(list(lake.log.glob("*.open"))) == (1 if rotate_seconds else 2)
    assert (log.written, log.waiting, log.healthy) == (0, len(sent), True)
    sync.answer(1)
    assert sync.hangs.acquire(timeout=60)
    # What was written while the first sync hung is for the next.
    assert (log.written, log.waiting) == (1, len(sent) - 1)
    sync.answer()
    until(lambda: log.written == len(sent), "all is synced")
    log.close()
    recover(lake)
    assert ids(lake) == sorted(one.generation_id for one in sent)
    assert list(lake.log.iterdir()) == []


@pytest.mark.parametrize("rotate_seconds", [3600, 0])
def test_a_sync_that_fails_and_forgets_loses_and_repeats_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, rotate_seconds: int
) -> None:
    """The system may drop what it could not write, and report success afterwards."""
    sync, failed = os.fdatasync, list[int]()
    log = RequestLog(lake, "w", rotate_seconds=rotate_seconds)
    sent = [record(number) for number in range(60)]

    def forget(file: int) -> None:
        if len(failed) % 3 == 2:
            failed.append(0)
            return sync(file)
        segment = next(segment for segment in log._segments if segment._file == file)
        failed.append(segment._synced)
        written = os.fstat(file).st_size
        os.pwrite(file, bytes(written - segment._synced), segment._synced)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(log_module, "RETRY_S", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", forget)
        for one in sent:
            log.append(encode_record(one))
            log.flush(60)
        until(lambda: log.written == len(sent), "all is synced")
    log.close()
    assert log.failures >= 2
    recover(lake)
    assert ids(lake) == sorted(one.generation_id for one in sent)
    assert list(lake.log.iterdir()) == []


def test_a_disk_that_does_not_answer_holds_up_the_end_for_a_while_only(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Keep what was written when the process is lost."""
    sync = HangingSync(monkeypatch)
    monkeypatch.setattr(log_module, "HANG_S", 0.2)
    log = RequestLog(lake, "w", drain_seconds=0)
    log.append(encode_record(record(1)))
    log.close()
    assert "1 records are in its files, but are not synced: the disk does not answer" in caplog.text
    assert (log.dropped, in_segments(lake)) == (0, [record(1).generation_id])
    sync.answer()
    log._thread.join()


def test_a_write_that_does_not_return_holds_up_the_end_for_a_while_only(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer, write = threading.Event(), os.pwrite

    def hang(file: int, content: bytes, offset: int) -> int:
        answer.wait(120)
        return write(file, content, offset)

    monkeypatch.setattr(log_module, "HANG_S", 0.2)
    monkeypatch.setattr(os, "pwrite", hang)
    log = RequestLog(lake, "w", drain_seconds=0)
    log.append(encode_record(record(1)))
    log.close()
    assert (log.dropped, "1 records are lost, they could not be written: the disk does not" in caplog.text) == (1, True)
    answer.set()
    log._thread.join()


def test_a_reserve_whose_router_died_is_sealed_or_cleared_away(lake: Lake) -> None:
    written = b"".join(frame(msgspec.msgpack.encode(record(n))) for n in range(3))
    (lake.log / "x-1-1.reserve").write_bytes(bytes(65536))
    (lake.log / "x-1-2.reserve").write_bytes(written + bytes(65536))
    (lake.log / "x-1-3.reserve").write_bytes(written[:-1] + bytes(65536))
    reports = recover(lake)
    assert [report.segment for report in reports] == ["x-1-2.reserve", "x-1-3.reserve"]
    assert [report.rows for report in reports] == [3, 2]
    assert reports[0].lost_bytes == 0 < reports[1].lost_bytes < len(written)
    assert list(lake.log.iterdir()) == []


def test_a_clean_end_gives_the_reserve_back(lake: Lake) -> None:
    log = RequestLog(lake, "w", reserve_bytes=1 << 20)
    until(lambda: list(lake.log.glob("*.reserve")), "the reserve is there")
    (reserve,) = lake.log.glob("*.reserve")
    assert reserve.stat().st_blocks * 512 >= 1 << 20
    assert recover(lake) == []
    log.append(encode_record(record(1)))
    log.close()
    recover(lake)
    assert (len(ids(lake)), list(lake.log.iterdir())) == (1, [])


FULL_DISK = """
import resource, signal, sys, time
from data.lake import Lake
from router_service.telemetry.log import RequestLog
from tests.router_service.telemetry.test_log import encode_record, record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
log = RequestLog(Lake(sys.argv[1]), "w")
for n in range(20):
    log.append(encode_record(record(n)))
while not log.failures:
    time.sleep(0.01)
assert not log.healthy
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.close()
assert log.healthy and log.written == 20, (log.healthy, log.written)
"""


def test_a_full_disk_keeps_records_in_memory_until_there_is_room(lake: Lake) -> None:
    subprocess.run([sys.executable, "-c", FULL_DISK, str(lake.root)], check=True, timeout=300)
    recover(lake)
    assert len(ids(lake)) == 20
