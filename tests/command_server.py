"""Run commands of ``portolan``, each in a process of its own, forked from one that has imported the libraries.

To import them takes most of what a command takes. ``python -m tests.command_server`` reads a request a line, runs it to
its end and prints its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
import traceback
from typing import Any, NoReturn

IMPORTED = ("portolan.cli", "portolan.server", "portolan.config_report", "portolan.provider_test", "router_service.app")
LIMIT_S = 300


def main() -> None:
    """Serve until the input ends."""
    for name in IMPORTED:
        importlib.import_module(name)
    while line := sys.stdin.readline():
        wanted = json.loads(line)
        if not (pid := os.fork()):
            end(run(wanted))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def end(code: int) -> NoReturn:
    """End a forked process. Libraries would wait for their threads, which the fork has not."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(wanted: dict[str, Any]) -> int:
    """Return the exit code of ``python -m portolan`` with the ``wanted`` arguments, environment and files."""
    signal.alarm(LIMIT_S)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, wanted["stdout"], os.O_WRONLY),
        (2, wanted["stderr"], os.O_WRONLY),
    ):
        file = os.open(path, flags)
        os.dup2(file, number)
        os.close(file)
    sys.argv[1:] = wanted["arguments"]
    try:
        runpy.run_module("portolan", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
