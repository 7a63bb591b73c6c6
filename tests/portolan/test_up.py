"""The whole deployment by one command: it prints what one needs, counts every request, and leaves nothing running."""

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
from data.record.lake_reader import open_dataset, request_files
from tests.running import Running, answers, free_port, portolan, until

MODEL = "openai/gpt-oss-120b"


class Up:
    """``portolan up`` on ports and data of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.lake = Lake(folder / "data")
        self.ports = {name: free_port() for name in ("--port", "--dashboards-port", "--dagster-port", "--lab-port")}
        ports = [word for name, port in self.ports.items() for word in (name, str(port))]
        common = ("--lab", "--data-dir", str(self.lake.root), "--refresh-every", "2")
        self.running = Running(folder / "output", "up", *ports, *common, *options)
        self.url = f"http://127.0.0.1:{self.ports['--port']}"

    def said(self, label: str) -> str:
        """What follows ``label`` at the beginning of a line."""
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
        """What the router itself has counted."""
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


def try_it(deployment: Up) -> None:
    """Run the printed line as a shell would; without curl, use the printed key."""
    line, key = deployment.said("try"), deployment.said("key")
    if shutil.which("curl"):
        answer = json.loads(subprocess.run(shlex.split(line), capture_output=True, check=True, timeout=120).stdout)
        assert answer["choices"][0]["message"]["content"]
        return
    with openai.OpenAI(base_url=deployment.said("API").split()[0], api_key=key) as client:
        made = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
    assert made.choices[0].message.content


def reconcile(deployment: Up) -> int:
    """The mart counts what the lake holds and the router counted; returns that number."""
    asked = time.time()
    counted = deployment.counted()
    told = time.time()
    deployment.stop()
    refreshed = portolan("refresh", "--data-dir", str(deployment.lake.root))
    assert refreshed.returncode == 0, refreshed.stderr
    with duckdb.connect() as connection:
        files = str(deployment.lake.requests / "day=*" / "*.parquet")
        rows, ids = connection.execute(f"SELECT count(*), count(DISTINCT generation_id) FROM '{files}'").fetchone()  # type: ignore[misc]
    assert rows == ids == deployment.mart_requests() == deployment.ask("SELECT sum(requests) FROM usage_hourly")
    # A record is counted once it is synced, so that the count lags behind its requests.
    assert deployment.ended_before(asked - 0.5) <= counted <= deployment.ended_before(told)
    assert list(deployment.lake.log.iterdir()) == []
    return int(rows)


def test_one_command_opens_a_market_whose_mart_counts_every_request(tmp_path: Path) -> None:
    deployment = Up(tmp_path, "--no-dashboards", "--no-dagster", "--traffic", "20")
    with deployment.running:
        assert deployment.said("API").startswith(deployment.url)
        assert "lab" in deployment.said("providers")
        try_it(deployment)
        until(lambda: deployment.lake.current_mart(), f"a mart is published; it said: {deployment.running.output}")
        assert reconcile(deployment) > 50


def test_a_damaged_file_is_named_once_and_the_mart_is_published(tmp_path: Path) -> None:
    damaged = Lake(tmp_path / "data").requests / "day=2026-11-17" / "damaged.parquet"
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    deployment = Up(tmp_path, "--no-dashboards", "--no-dagster")
    with deployment.running:
        until(
            lambda: f"{damaged} is left out" in deployment.running.output,
            f"it is named: {deployment.running.output}",
            300,
        )
        first = deployment.lake.current_mart()
        until(lambda: deployment.lake.current_mart() != first, f"a later mart: {deployment.running.output}", 300)
        assert deployment.running.output.count(str(damaged)) == 1
        deployment.stop()


def test_a_closed_terminal_and_an_impatient_ctrl_c_leave_nothing_running(tmp_path: Path) -> None:
    deployment = Up(tmp_path, "--no-dashboards", "--no-dagster")
    with deployment.running:
        deployment.said("try")
        deployment.running.process.send_signal(signal.SIGHUP)
        until(lambda: "\nstopping" in deployment.running.output, "it stops")
        deployment.running.end(signal.SIGINT)
        assert deployment.running.alive() == []


@pytest.mark.slow
def test_requests_mart_and_router_agree_to_the_last_one(tmp_path: Path) -> None:
    deployment = Up(tmp_path, "--no-dashboards", "--no-dagster", "--traffic", "0")
    with deployment.running:
        base, key = deployment.said("API").split()[0], deployment.said("key")
        replay = ("replay", "--base-url", base, "--rate", "200", "--requests", "60", "--api-key", key)
        assert portolan(*replay).stdout.startswith("sent 60,")
        until(lambda: deployment.counted() == 60, "the router has counted 60 requests")
        until(lambda: deployment.mart_requests() == 60, f"the mart has them; it said: {deployment.running.output}")
        assert reconcile(deployment) == 60


@pytest.mark.slow
def test_the_full_stack_shows_the_last_minutes(tmp_path: Path) -> None:
    deployment = Up(tmp_path, "--traffic", "5")
    with deployment.running:
        dashboards, pipelines = (deployment.said(label).split()[0] for label in ("dashboards", "pipelines"))
        try_it(deployment)
        sent = time.time()
        until(lambda: answers(dashboards), f"the dashboards answer; it said: {deployment.running.output}")
        until(lambda: answers(pipelines), f"the pipelines answer; it said: {deployment.running.output}")
        until(lambda: deployment.mart_requests(), f"the mart holds requests; it said: {deployment.running.output}")

        def last() -> float:
            with open_mart(deployment.lake) as mart:
                moment = freshness(mart).last
            return moment.replace(tzinfo=UTC).timestamp() if moment else 0.0

        until(lambda: last() > sent, "the dashboards' mart shows what was sent after the start", 300)
        deployment.stop()
    assert (deployment.lake.root / "dagster" / "storage").is_dir()
