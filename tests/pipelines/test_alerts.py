"""A real HTTP server on loopback is told of failed runs: after a fault again, once an hour, and without the secret."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import httpx2
import pytest

from data.lake import Lake
from pipelines import alerts
from pipelines.alerts import VARIABLE, Failure, NotDelivered, deliver, forget, tell, webhook_from_environment
from pipelines.defs.alerts import failed_runs
from pipelines.defs.resources import LakeResource
from pipelines.refresh import NAME, alert, refresh
from tests.running import until

pytestmark = pytest.mark.filterwarnings("ignore")
SECRET = "T0K3N-of-the-webhook"
FAILURE = Failure("refresh", "run-1", ["marts"], "no space left")


class Webhook(ThreadingHTTPServer):
    """Answer with the statuses of ``answers`` in turn, then with 200; keep what was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.asked = 0
        self.endless = False
        self.taken: list[dict[str, Any]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 0:
            self.server.released.wait(30)
            return
        if status == 200:
            self.server.taken.append(content)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url)
        self.end_headers()
        if status == 200 and self.server.endless:
            with suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)

    def log_message(self, format: str, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    # A proxy of the environment is not for loopback.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(alerts, "PAUSE_S", 0.001)
    with Webhook() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv(VARIABLE, server.url)
        yield server
        server.released.set()
        server.shutdown()


def test_a_message_that_was_not_taken_is_sent_again(webhook: Webhook) -> None:
    webhook.answers = [500, 503]
    deliver(webhook.url, FAILURE.message())
    (message,) = webhook.taken
    assert webhook.asked == 3
    assert (message["job"], message["run_id"], message["failed"]) == ("refresh", "run-1", ["marts"])
    assert "refresh failed. no space left" in message["text"]


@pytest.mark.parametrize("status", [500, 302])
def test_an_error_says_why_and_does_not_have_the_secret(webhook: Webhook, status: int) -> None:
    webhook.answers = [status] * 3
    with pytest.raises(NotDelivered, match=f"HTTP status {status}") as raised:
        deliver(webhook.url, FAILURE.message())
    assert SECRET not in str(raised.value) and webhook.taken == []


def test_a_webhook_that_does_not_answer_costs_bounded_time(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "DEADLINE_S", 0.05)
    webhook.answers = [0]
    with pytest.raises(NotDelivered, match="did not answer in time"):
        deliver(webhook.url, FAILURE.message())
    until(lambda: not webhook.answers, "the message has come")
    webhook.answers = [0, 0, 0]
    monkeypatch.setattr(alerts, "DEADLINE_S", 20.0)
    monkeypatch.setattr(alerts, "TIMEOUT_S", 0.02)
    with pytest.raises(NotDelivered, match=r"TimeoutError|timed out"):
        deliver(webhook.url, FAILURE.message())


def test_a_response_without_end_is_not_read(webhook: Webhook) -> None:
    webhook.endless = True
    deliver(webhook.url, FAILURE.message())
    assert webhook.asked == 1


def test_no_log_has_the_address(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    deliver(webhook.url, FAILURE.message())
    webhook.answers = [500] * 3
    with pytest.raises(NotDelivered):
        deliver(webhook.url, FAILURE.message())
    httpx2.get(webhook.url.replace(SECRET, "public"), trust_env=False)
    assert SECRET not in caplog.text and "/hooks/public" in caplog.text


def test_a_server_that_is_not_there_is_described_by_the_system(webhook: Webhook) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(NotDelivered, match=r"Connection refused$"):
            deliver(f"http://127.0.0.1:{unused.getsockname()[1]}/{SECRET}", FAILURE.message())


def test_the_same_failure_is_told_once_until_a_success_or_another_failure(tmp_path: Path, webhook: Webhook) -> None:
    lake = Lake(tmp_path).create()
    assert tell(lake, FAILURE)
    assert not tell(lake, FAILURE._replace(run_id="run-2"))
    assert tell(lake, FAILURE._replace(failed=["published_mart"]))
    forget(lake, "refresh")
    assert tell(lake, FAILURE)
    assert len(webhook.taken) == 3


def test_without_a_webhook_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not tell(Lake(tmp_path).create(), FAILURE)


@pytest.mark.parametrize("url", [f"ftp://x/{SECRET}", SECRET, "http://", f"http://x:y/{SECRET}"])
def test_an_address_that_is_none_is_refused_without_being_said(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(ValueError, match="http") as raised:
        webhook_from_environment()
    assert SECRET not in str(raised.value)


def test_a_refresh_that_fails_is_told(tmp_path: Path, webhook: Webhook) -> None:
    Lake(tmp_path).create().build_lock.mkdir()
    said: list[str] = []
    webhook.answers = [500]
    report = refresh(tmp_path, said.append)
    (message,) = webhook.taken
    assert not report.succeeded
    assert message["job"] == NAME and message["error"] == report.sentence()
    forget(Lake(tmp_path), NAME)
    webhook.answers = [500, 500, 500]
    alert(Lake(tmp_path), report, [], said.append)
    assert said[-1].startswith("alert: ") and "HTTP status 500" in said[-1]
    assert SECRET not in "".join(said)


@dg.op
def breaks() -> None:
    raise ValueError("the disk is on fire")


@dg.job
def broken() -> None:
    breaks()


@dg.resource
def occupied() -> None:
    raise OSError("the lock is a folder")


@dg.op(required_resource_keys={"occupied"})
def waits() -> None:
    """Do nothing."""


@dg.job(resource_defs={"occupied": occupied})
def never_begun() -> None:
    waits()


@pytest.mark.parametrize(
    ("job", "failed", "error"),
    [(broken, ["breaks"], "ValueError: the disk is on fire"), (never_begun, [], "OSError: the lock is a folder")],
)
def test_the_sensor_tells_of_runs_that_dagster_has_started(
    tmp_path: Path, webhook: Webhook, job: dg.JobDefinition, failed: list[str], error: str
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ran = job.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            "failed_runs",
            dagster_event=ran.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=ran.dagster_run,
        ).for_run_failure()
        failed_runs(context, lake=LakeResource(data_dir=str(tmp_path)))
    (message,) = webhook.taken
    assert (message["job"], message["run_id"], message["failed"]) == (job.name, ran.run_id, failed)
    assert message["error"] == error
