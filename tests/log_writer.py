"""Appends records as fast as it can; prints an id once it must survive a crash. Killed by its test.

With ``hang`` as its third argument, on a disk whose syncs do not return.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque

from data.lake import Lake
from data.record.encoding import encode_record
from data.record.record import Record
from router_service.telemetry.log import RequestLog


def main() -> None:
    if sys.argv[3:] == ["hang"]:
        os.fdatasync = lambda _: time.sleep(3600)
    log = RequestLog(Lake(sys.argv[1]).create(), f"w{sys.argv[2]}", rotate_seconds=0.4)
    recent: deque[tuple[float, str]] = deque()
    for number in range(10_000_000):
        now = time.time()
        name = f"gen-{int(now)}-{sys.argv[2]}x{number}"
        log.append(encode_record(Record(name, int(now * 1e6), "w", "a/b", False, 200, 5)))
        recent.append((now, name))
        while recent and recent[0][0] < now - 0.2:
            sys.stdout.write(recent.popleft()[1] + "\n")
        sys.stdout.flush()
        time.sleep(0.0005)


main()
