"""Objects are written whole or not at all, and once where that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from data.storage.interface import InvalidKeyError, ObjectNotFoundError, Storage
from data.storage.local import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def test_it_keeps_what_was_put(storage: Storage) -> None:
    storage.put("a/b/c.json", b"1")
    storage.put("a/b/c.json", memoryview(b"22"))
    assert storage.get("a/b/c.json") == b"22"
    assert storage.put_if_absent("a/d", b"3")
    assert not storage.put_if_absent("a/d", b"4")
    assert storage.get("a/d") == b"3"


def test_listing_is_by_prefix_and_sorted(storage: LocalStorage) -> None:
    for key in ("lake/day=2/a", "lake/day=1/b", "lake/day=10/c", "marts/x"):
        storage.put(key, b"")
    assert storage.list() == ["lake/day=1/b", "lake/day=10/c", "lake/day=2/a", "marts/x"]
    assert storage.list("lake/day=1") == ["lake/day=1/b", "lake/day=10/c"]
    assert storage.list("lake/day=1/") == ["lake/day=1/b"]
    assert storage.list("nothing/here") == []


@pytest.mark.parametrize("key", ["missing", "a/missing", "file/below", "a"])
def test_a_missing_object_is_named(storage: LocalStorage, key: str) -> None:
    storage.put("file", b"")
    storage.put("a/b", b"")
    with pytest.raises(ObjectNotFoundError, match=key):
        storage.get(key)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a//b", "a/", "..", "a/../../b", ".hidden", "a/.b", "a\0b", "."])
def test_a_key_cannot_leave_the_folder(storage: LocalStorage, key: str) -> None:
    for call in (storage.get, lambda k: storage.put(k, b""), lambda k: storage.put_if_absent(k, b"")):
        with pytest.raises(InvalidKeyError, match="is not a key"):
            call(key)


def test_a_failed_write_leaves_the_former_content_and_nothing_else(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.put("a", b"before")

    def full(_descriptor: int) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        for write in (storage.put, storage.put_if_absent):
            with pytest.raises(OSError, match="No space"):
                write("a", b"after")
    assert storage.get("a") == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


KILLED = """
import os, sys
from data.storage.local import LocalStorage
from pathlib import Path
os.replace = lambda *_: os._exit(9)
LocalStorage(Path(sys.argv[1])).put("a", b"half")
"""


def test_what_a_killed_writer_left_is_hidden_and_can_be_removed(storage: LocalStorage, tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    assert storage.list() == []
    others = [".a.b.7-1.tmp", ".a.7-x.tmp", ".ab.7-1.tmp", "a.7-1.tmp"]
    for name in (*others, ".a.7.tmp"):
        (tmp_path / name).touch()
    storage.discard_partial("a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_what_writes_of_any_key_of_a_folder_left_is_removed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    kept, left = ["a/.b.7-x.tmp", "a/b.7-1.tmp", "c/.b.7-1.tmp"], ["a/.b.7.tmp", "a/.b.8-1.tmp", "a/d/.e.f.7-12.tmp"]
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    storage.discard_all_partial("a")
    storage.discard_all_partial("no_such_folder")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_of_concurrent_writers_one_takes_an_absent_key(storage: LocalStorage) -> None:
    ready, won = threading.Barrier(8), []

    def write(number: int) -> None:
        ready.wait()
        content = str(number).encode() * 1000
        won.extend((place, number) for place in range(50) if storage.put_if_absent(f"k/{place}", content))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(place for place, _ in won) == list(range(50))
    assert all(storage.get(f"k/{place}") == str(number).encode() * 1000 for place, number in won)


def test_readers_never_see_a_part(storage: LocalStorage) -> None:
    contents = {bytes([number]) * 100_000 for number in range(20)}
    storage.put("a", bytes(100_000))
    done = threading.Event()

    def rewrite() -> None:
        for content in sorted(contents):
            storage.put("a", content)
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not done.is_set():
        assert storage.get("a") in contents
    writer.join()


def test_a_folder_in_the_place_of_an_object_is_an_error_and_leaves_nothing(
    storage: LocalStorage, tmp_path: Path
) -> None:
    storage.put("a/b", b"")
    with pytest.raises(OSError, match="directory"):
        storage.put("a", b"1")
    assert not storage.put_if_absent("a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
