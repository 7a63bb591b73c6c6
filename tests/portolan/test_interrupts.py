"""Every command that runs until it is stopped ends by SIGINT, also where a script's ``&`` has started it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from data.lake import Lake
from data.policies import ServingAssignment, write_serving
from portolan import cli
from portolan.processes import Processes
from tests.running import Running, answers, environment, free_port, until


@contextmanager
def ignored(number: signal.Signals) -> Iterator[None]:
    """Let processes inherit that ``number`` is ignored, as a shell without job control does for SIGINT."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


def started(folder: Path, *arguments: str, number: signal.Signals = signal.SIGINT, **variables: str) -> Running:
    with ignored(number):
        return Running(folder / "output", *arguments, **variables)


def end(command: Running, code: int = 0) -> None:
    """SIGINT ends the command and all of its processes."""
    assert command.end(signal.SIGINT) == code, command.output
    until(lambda: not command.alive(), f"all have ended, but {command.alive()}")
    assert "Traceback" not in command.output


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_ends_with_its_workers_and_sealers(tmp_path: Path, lab_url: str, workers: str) -> None:
    port = free_port()
    serve = ("serve", "--workers", workers, "--port", str(port), "--data-dir", str(tmp_path / "data"))
    with started(tmp_path, *serve, PORTOLAN_LAB_URL=lab_url) as command:
        command.ready(f"http://127.0.0.1:{port}/health")
        end(command)


def test_lab_ends(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, "lab", "--port", str(port)) as command:
        command.ready(f"http://127.0.0.1:{port}/_log")
        end(command)


def test_replay_ends(tmp_path: Path, lab_url: str) -> None:
    def calls() -> int:
        return sum(httpx2.get(f"{lab_url}/_log").json()["calls"].values())

    before = calls()
    replay = ("replay", "--base-url", f"{lab_url}/groq/v1", "--rate", "50", "--api-key", "any")
    with started(tmp_path, *replay) as command:
        until(lambda: calls() > before, f"requests are sent; it said: {command.output}")
        end(command, code=130)


def test_guardrails_end(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "data").create()
    write_serving(lake, ServingAssignment(champion="any"))
    # They name the file that they cannot read, which shows that they look.
    (day := lake.requests / f"day={datetime.now(UTC):%Y-%m-%d}").mkdir()
    (day / "damaged.parquet").write_bytes(b"PAR1")
    with started(tmp_path, "policy", "check", "--every", "1", "--data-dir", str(tmp_path / "data")) as command:
        until(lambda: "damaged.parquet is left out" in command.output, "they look")
        end(command)


OFF = ("--no-dashboards", "--no-dagster")


@pytest.mark.parametrize("parts", [OFF, pytest.param((), marks=pytest.mark.slow)], ids=["router", "all"])
def test_up_ends_and_kills_no_child(tmp_path: Path, parts: tuple[str, ...]) -> None:
    names = ("--port", "--dashboards-port", "--dagster-port", "--lab-port")
    ports = {name: str(free_port()) for name in names}
    options = [word for pair in ports.items() for word in pair]
    with started(tmp_path, "up", "--lab", *parts, *options, "--data-dir", str(tmp_path / "data")) as command:
        until(lambda: "\ntry " in command.output or command.process.poll() is not None, "it has started")
        for name in names[1:3] if not parts else ():
            until(lambda name=name: answers(f"http://127.0.0.1:{ports[name]}"), f"{name} answers", 300)  # type: ignore[misc]
        end(command)
    assert list(Lake(tmp_path / "data").log.iterdir()) == [], "the router has drained"


def test_up_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--lab-port", str(free_port()))
    up = ("up", "--lab", *OFF, *ports, "--data-dir", str(tmp_path / "data"))
    with started(tmp_path, *up, number=signal.SIGHUP) as command:
        until(lambda: "\ntry " in command.output or command.process.poll() is not None, "it has started")
        command.process.send_signal(signal.SIGHUP)
        url = f"http://127.0.0.1:{ports[1]}/health"
        until(lambda: answers(url), "the router answers")
        assert "stopping" not in command.output
        end(command)


@pytest.mark.parametrize("milliseconds", [0, 5, 10, 20, 40, 80])
def test_an_interrupt_before_the_first_module_is_loaded_ends_in_silence(
    milliseconds: int, capfd: pytest.CaptureFixture[str]
) -> None:
    processes = Processes(**environment())
    processes.portolan("lab", "lab", "--port", str(free_port()))
    time.sleep(milliseconds / 1000)
    processes.stop()
    assert "Traceback" not in capfd.readouterr().err


def test_an_interrupt_while_the_command_line_is_built_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_named: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(cli, "app", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130
    assert capfd.readouterr() == ("", "")
