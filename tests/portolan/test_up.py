"""The whole stack by one command: it prints what one needs, counts every request, and leaves nothing running."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import time
from datetime import UTC
from pathlib import Path

import duckdb
import httpx2
import openai
import pytest

from dashboards.queries.freshness import freshness
from data.lake import Lake
from data.marts import open_mart
from data.record.lake_reader import open_dataset, request_files, requests_sql
from tests.running import Running, answers, free_port, portolan, until

MODEL = "openai/gpt-oss-120b"


OPTIONS = ("--port", "--dashboards-port", "--analytics-port", "--dagster-port", "--lab-port")


class Up:
    """``portolan up`` on ports and data of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.lake = Lake(folder / "data")
        self.ports = {name: free_port() for name in OPTIONS}
        ports = [word for name, port in self.ports.items() for word in (name, str(port))]
        common = ("--lab", "--data-dir", str(self.lake.root), "--refresh-every", "2")
        self.running = Running(folder / "output", "up", *ports, *common, *options)
        self.url = f"http://127.0.0.1:{self.ports['--port']}"

    def said(self, label: str) -> str:
        """Return the text after ``label`` at the beginning of a line."""
        pattern = re.compile(rf"^{label} +(.+)$", re.MULTILINE)
        until(
            lambda: self.running.process.poll() is not None or pattern.search(self.running.output), f"it says {label}"
        )
        found = pattern.search(self.running.output)
        assert found, self.running.output
        return found[1]

    def mart_requests(self) -> int:
        """Requests in the published mart, 0 without one."""
        return self.ask("SELECT requests FROM summary") if self.lake.current_mart() else 0

    def ask(self, sql: str) -> int:
        """One figure of the published mart."""
        with open_mart(self.lake) as mart:
            row = mart.execute(sql).fetchone()
        assert row is not None
        return int(row[0])

    def counted(self) -> int:
        """Return the number of records that the router has counted."""
        text = httpx2.get(f"{self.url}/metrics").text
        return int(float(re.search(r"^log_records_written_total (\S+)$", text, re.MULTILINE)[1]))  # type: ignore[index]

    def ended_before(self, moment: float) -> int:
        """Rows of the lake whose request had ended by ``moment`` (Unix seconds)."""
        rows = open_dataset(request_files(self.lake)).to_table(columns=["started_at", "duration_us"]).to_pylist()
        return sum(row["started_at"].timestamp() + row["duration_us"] / 1e6 <= moment for row in rows)

    def stop(self) -> None:
        """Ctrl-C: the end is quiet, in order, and whole."""
        assert self.running.end(signal.SIGINT) == 0, self.running.output
        assert self.running.alive() == []
        _, end = self.running.output.split("\nstopping\n")
        assert not re.search("failed|Traceback|Aborted|rror", end), end


def try_it(stack: Up) -> None:
    """Run the printed line as a shell would; without curl, use the printed key."""
    line, key = stack.said("try"), stack.said("key")
    if shutil.which("curl"):
        answer = json.loads(subprocess.run(shlex.split(line), capture_output=True, check=True, timeout=120).stdout)
        assert answer["choices"][0]["message"]["content"]
        return
    with openai.OpenAI(base_url=stack.said("API").split()[0], api_key=key) as client:
        made = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
    assert made.choices[0].message.content


def reconcile(stack: Up) -> int:
    """The mart counts what the lake holds and the router counted; returns that number."""
    asked = time.time()
    counted = stack.counted()
    told = time.time()
    stack.stop()
    refreshed = portolan("refresh", "--data-dir", str(stack.lake.root))
    assert refreshed.returncode == 0, refreshed.stderr
    with duckdb.connect() as connection:
        requests = requests_sql(request_files(stack.lake))
        found = connection.execute(f"SELECT count(*), count(DISTINCT generation_id) FROM ({requests})").fetchone()
    assert found is not None
    rows, ids = found
    assert rows == ids == stack.mart_requests() == stack.ask("SELECT sum(requests) FROM usage_hourly")
    # A record is counted once it is synced, so that the count lags behind its requests.
    assert stack.ended_before(asked - 0.5) <= counted <= stack.ended_before(told)
    assert list(stack.lake.log.iterdir()) == []
    return int(rows)


def test_one_command_opens_a_market_whose_mart_counts_every_request(tmp_path: Path) -> None:
    stack = Up(tmp_path, "--no-dashboards", "--no-dagster", "--traffic", "20")
    with stack.running:
        assert stack.said("API").startswith(stack.url)
        assert "lab" in stack.said("providers")
        try_it(stack)
        until(lambda: stack.lake.current_mart(), f"a mart is published; it said: {stack.running.output}")
        assert reconcile(stack) > 50


def test_a_damaged_file_is_named_once_and_the_mart_is_published(tmp_path: Path) -> None:
    damaged = Lake(tmp_path / "data").requests / "day=2026-11-17" / "damaged.parquet"
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    stack = Up(tmp_path, "--no-dashboards", "--no-dagster")
    with stack.running:
        until(
            lambda: f"{damaged} is left out" in stack.running.output,
            f"it is named: {stack.running.output}",
            300,
        )
        first = stack.lake.current_mart()
        until(lambda: stack.lake.current_mart() != first, f"a later mart: {stack.running.output}", 300)
        assert stack.running.output.count(str(damaged)) == 1
        assert "emitted no result" not in stack.running.output
        stack.stop()


def test_a_closed_terminal_and_an_impatient_ctrl_c_leave_nothing_running(tmp_path: Path) -> None:
    # A command that is started with the signal ignored, as by nohup, goes on.
    usual = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    stack = Up(tmp_path, "--no-dashboards", "--no-dagster")
    signal.signal(signal.SIGHUP, usual)
    with stack.running:
        stack.said("try")
        stack.running.process.send_signal(signal.SIGHUP)
        until(lambda: "\nstopping" in stack.running.output, "it stops")
        stack.running.end(signal.SIGINT)
        assert stack.running.alive() == []


@pytest.mark.slow
def test_requests_mart_and_router_agree_to_the_last_one(tmp_path: Path) -> None:
    stack = Up(tmp_path, "--no-dashboards", "--no-dagster", "--traffic", "0")
    with stack.running:
        base, key = stack.said("API").split()[0], stack.said("key")
        replay = ("replay", "--base-url", base, "--rate", "200", "--requests", "60", "--api-key", key)
        assert portolan(*replay).stdout.startswith("sent 60,")
        until(lambda: stack.counted() == 60, "the router has counted 60 requests")
        until(lambda: stack.mart_requests() == 60, f"the mart has them; it said: {stack.running.output}")
        assert reconcile(stack) == 60


def status(url: str, path: str, host: str, origin: str | None = None, *, socket: bool = False) -> int:
    """Return the status of a request, or of the handshake of a WebSocket, as a browser at ``origin`` sends it."""
    headers = {"host": host}
    if origin is not None:
        headers["origin"] = origin
    if socket:
        headers |= {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        headers |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-protocol": "streamlit, graphql-ws"}
    with httpx2.Client(trust_env=False, timeout=60) as client, client.stream("GET", url + path, headers=headers) as got:
        return got.status_code


def check_hosts(dashboards: str, pipelines: str, allowed: str) -> None:
    """Both answer for loopback and for ``allowed``, and for no other host nor to a page of another."""
    for url, path in ((dashboards, "/_stcore/stream"), (pipelines, "/graphql")):
        own = url.removeprefix("http://")
        for host, origin in (
            (own, None),
            (own, url),
            ("localhost", "http://localhost:1"),
            (allowed, f"https://{allowed}"),
        ):
            assert status(url, path, host, origin, socket=True) == 101, (url, host, origin)
        for host, origin in (
            ("rebound.example", None), ("rebound.example", "http://rebound.example"), (own, "http://rebound.example"),
            (own, "null"), ("127.0.0.1.rebound.example", None), (f"{allowed}.rebound.example", None),
        ):  # fmt: skip
            assert status(url, path, host, origin, socket=True) == 403, (url, host, origin)
    assert status(pipelines, "/server_info", "localhost:1") == status(pipelines, "/server_info", allowed) == 200
    assert status(pipelines, "/server_info", "rebound.example") == 403
    assert status(pipelines, "/server_info", "localhost", "http://rebound.example") == 403


@pytest.mark.slow
def test_the_full_stack_shows_the_last_minutes(tmp_path: Path) -> None:
    stack = Up(tmp_path, "--traffic", "5", "--allow-host", "portolan.example")
    with stack.running:
        dashboards, pipelines = (stack.said(label).split()[0] for label in ("dashboards", "pipelines"))
        try_it(stack)
        sent = time.time()
        until(lambda: answers(dashboards), f"the dashboards answer; it said: {stack.running.output}")
        until(lambda: answers(pipelines), f"the pipelines answer; it said: {stack.running.output}")
        check_hosts(dashboards, pipelines, "portolan.example")
        until(lambda: stack.mart_requests(), f"the mart holds requests; it said: {stack.running.output}")

        def last() -> float:
            with open_mart(stack.lake) as mart:
                moment = freshness(mart).last
            return moment.replace(tzinfo=UTC).timestamp() if moment else 0.0

        until(lambda: last() > sent, "the dashboards' mart shows what was sent after the start", 300)
        stack.stop()
    assert (stack.lake.root / "dagster" / "storage").is_dir()
