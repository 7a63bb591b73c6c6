"""Run the router's server: one process, or a parent that keeps several workers."""

from __future__ import annotations

import resource
import socket
import sys
from contextlib import suppress

import uvicorn
from uvicorn.supervisors import Multiprocess

# The exit code of a server that did not start, as uvicorn's own command has it.
STARTUP_FAILURE = 3


class Workers(Multiprocess):
    """Run the workers. At the end their port is closed first, so that new connections are refused and do not hang."""

    def terminate_all(self) -> None:
        for listener in self.sockets:
            # The workers have copies of the socket, on which it has the same effect.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
        super().terminate_all()


def run_server(host: str, port: int, workers: int) -> None:
    """Serve the router at ``host`` and ``port`` until a signal ends it."""
    allow_descriptors()
    config = uvicorn.Config(
        "router_service.app:app",
        factory=True,
        interface="asgi3",
        host=host,
        port=port,
        workers=workers,
        http="router_service.http_protocol:HttpProtocol",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    if workers == 1:
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run()
        if not server.started:
            sys.exit(STARTUP_FAILURE)
    else:
        Workers(config, sockets=[config.bind_socket()]).run()


def allow_descriptors() -> None:
    """Raise the limit of open files to the most that the system allows: each request needs two connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
