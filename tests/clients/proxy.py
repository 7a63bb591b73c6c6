"""Record what a client sends to anything but the router."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class ProxyRecorder:
    """Name a proxy that refuses all requests."""

    url: str

    def environment(self) -> dict[str, str]:
        """Return the variables that make a client use the proxy for anything but the router."""
        return {"HTTP_PROXY": self.url, "HTTPS_PROXY": self.url, "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def proxy() -> Iterator[ProxyRecorder]:
    """Yield the proxy by which anything but the router would have to be reached; afterwards nothing else has been."""
    found: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            found.append(self.rfile.readline(1000).decode(errors="replace").strip())
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ProxyRecorder(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert not found, found
