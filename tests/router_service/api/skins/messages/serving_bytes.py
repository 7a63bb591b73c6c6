"""Serve prepared responses to a real SDK from a real server on loopback."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from router_service.api.skins.skin import EVENT_STREAM_HEADERS


class PreparedServer:
    """Answer every request with ``status``, ``headers`` and ``body``, and keep what was asked."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def stream(self, body: bytes) -> None:
        """Answer with a stream of events from now on."""
        self.status, self.headers, self.body = 200, EVENT_STREAM_HEADERS, body

    def json(self, body: bytes, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Answer with JSON from now on."""
        self.status, self.headers, self.body = status, [(b"content-type", b"application/json"), *headers], body


@contextlib.contextmanager
def prepared_server() -> Iterator[PreparedServer]:
    """Serve from a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            prepared.requests.append((self.path, dict(self.headers.items()), self.rfile.read(length)))
            self.send_response(prepared.status)
            for name, value in prepared.headers:
                self.send_header(name.decode(), value.decode())
            self.send_header("content-length", str(len(prepared.body)))
            self.end_headers()
            self.wfile.write(prepared.body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    prepared = PreparedServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield prepared
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
