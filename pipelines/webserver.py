"""Run Dagster's web server for known hosts alone. ``python -m pipelines.webserver …`` is ``dagster-webserver …``.

Dagster's server answers any ``Host`` and accepts WebSockets of any ``Origin``, and it has no login: a page on the web
whose name resolves to 127.0.0.1 (DNS rebinding) could start runs. ``PORTOLAN_UI_HOSTS`` names hosts beside those of
loopback, separated by commas.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HOSTS_VARIABLE = "PORTOLAN_UI_HOSTS"


class KnownHosts:
    """Refuse requests and WebSockets whose ``Host`` or ``Origin`` has another host than ``hosts``, with 403."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it."""
        if scope["type"] == "lifespan" or self._is_known(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Before the handshake is accepted, the server turns it into 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = f"This host is not known here; {HOSTS_VARIABLE} names the hosts beside those of loopback\n"
            await PlainTextResponse(text, status_code=403)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        return (
            len(hosts) == 1
            and _host_of(f"//{hosts[0]}") in self._hosts
            and all(_host_of(origin) in self._hosts for origin in origins)
        )


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def known_hosts() -> list[str]:
    """Return the hosts of loopback, and those of the environment."""
    return [*LOOPBACK, *(host.strip() for host in os.environ.get(HOSTS_VARIABLE, "").split(",") if host.strip())]


class _Server(DagsterWebserver[Any, Any]):
    def build_middleware(self) -> list[Middleware]:
        return [Middleware(KnownHosts, hosts=known_hosts()), *super().build_middleware()]


def protect() -> None:
    """Let the application of Dagster's server be made with the check of hosts."""
    from dagster_webserver import app

    module: Any = app
    module.DagsterWebserver = _Server


if __name__ == "__main__":
    protect()
    runpy.run_module("dagster_webserver", run_name="__main__", alter_sys=True)
