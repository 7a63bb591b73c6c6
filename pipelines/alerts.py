"""Tell a webhook when a run of the pipelines fails: one JSON message by HTTP POST, in bounded time.

The address may hold a secret, as those of chat services do: no log, no error and no message has it. The same failure is
told once an hour.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from data.lake import Lake
from data.storage.local import write_atomically

VARIABLE = "PORTOLAN_ALERT_WEBHOOK"
TRIES = 3
TIMEOUT_S = 5.0
PAUSE_S = 0.5
SENDER = "alert-sender"
# Also for a server that sends a byte now and then.
DEADLINE_S = 20.0
REPEAT_S = 3600.0
ERROR_CHARS = 2000


class NotDelivered(Exception):
    """Raised when the webhook took no message; its text does not have the address."""


class Failure(NamedTuple):
    """Describe a failed run: its job and id, what failed, and the error in words."""

    job: str
    run_id: str
    failed: Sequence[str]
    error: str

    def message(self) -> dict[str, Any]:
        """Return the JSON object to be sent; chat services show its ``text``."""
        error = self.error[:ERROR_CHARS]
        return {
            "text": f"Portolan on {socket.gethostname()}: the run {self.job} failed. {error}",
            "event": "run_failed",
            "host": socket.gethostname(),
            "job": self.job,
            "run_id": self.run_id,
            "failed": list(self.failed),
            "error": error,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def webhook_from_environment() -> str | None:
    """Read ``PORTOLAN_ALERT_WEBHOOK``. Raises ``ValueError`` with a sentence that does not have its value."""
    url = os.environ.get(VARIABLE, "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{VARIABLE} must be an address that begins with http:// or https://")
    return url


def tell(lake: Lake, failure: Failure) -> bool:
    """Send ``failure`` unless no webhook is set or the same was told within the hour. Raises ``NotDelivered``."""
    url = webhook_from_environment()
    told, mark = _Told(lake), blake2b(repr((failure.job, *failure.failed)).encode(), digest_size=8).hexdigest()
    if url is None or told.recently(failure.job, mark):
        return False
    deliver(url, failure.message())
    told.remember(failure.job, mark)
    return True


def forget(lake: Lake, job: str) -> None:
    """Let the next failure of ``job`` be told, since it has succeeded."""
    _Told(lake).remember(job, None)


def deliver(url: str, message: dict[str, Any]) -> None:
    """POST ``message``, up to ``TRIES`` times. Raises ``NotDelivered``."""
    problem = ["it did not answer in time"]

    def attempt() -> None:
        for number in range(TRIES):
            if number:
                time.sleep(PAUSE_S * 2**number)
            problem[:] = [_post(url, message)]
            if not problem[0]:
                return

    sender = threading.Thread(target=attempt, name=SENDER, daemon=True)
    sender.start()
    sender.join(DEADLINE_S)
    if problem[0]:
        raise NotDelivered(f"the webhook of {VARIABLE} took no message: {problem[0]}")


def _post(url: str, message: dict[str, Any]) -> str:
    """Return why the message was not taken, an empty text if it was. The body of the response is not read."""
    # Imported here, since few refreshes fail.
    import httpx2

    _hide_address(logging.getLogger("httpx2"))
    # A POST that is redirected would become a GET, and the secret would go to another host.
    options: dict[str, Any] = {"trust_env": not _is_local(urlsplit(url).hostname or ""), "follow_redirects": False}
    try:
        with (
            httpx2.Client(verify=ssl.create_default_context(), timeout=TIMEOUT_S, **options) as client,
            client.stream("POST", url, json=message, headers={"User-Agent": "portolan"}) as response,
        ):
            return "" if response.is_success else f"HTTP status {response.status_code}"
    except httpx2.TimeoutException:
        return "timed out"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return _words(error)


def _words(error: BaseException) -> str:
    """Return the system's words for a failed connection, else the kind of the error: its text may have the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _hide_address(logger: logging.Logger) -> None:
    """Keep the lines of the sender out of the client's log, since they have the address of each request."""
    if _is_of_others not in logger.filters:
        logger.addFilter(_is_of_others)


def _is_of_others(record: logging.LogRecord) -> bool:
    return record.threadName != SENDER


def _is_local(host: str) -> bool:
    """Return whether ``host`` is an address that is never called through a proxy."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"


class _Told:
    """Remember which failure of each job was told last, and when."""

    def __init__(self, lake: Lake) -> None:
        self._path = lake.alerts

    def recently(self, job: str, mark: str) -> bool:
        found = self._read().get(job)
        return isinstance(found, list) and found[0] == mark and time.time() - float(found[1]) < REPEAT_S

    def remember(self, job: str, mark: str | None) -> None:
        found = self._read()
        if mark is None and job not in found:
            return
        found[job] = [mark, time.time()]
        if mark is None:
            del found[job]
        write_atomically(self._path, json.dumps(found).encode())

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
