"""Serve media on loopback from threads, with the faults that a fetcher must bear."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n and the rest"
PDF = b"%PDF-1.7\n% an empty document\n%%EOF\n"


@dataclass
class MediaServer:
    """Hold the address of a server, and the paths and headers of the requests that reached it."""

    host: str
    port: int
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str, host: str | None = None) -> str:
        return f"http://{host or self.host}:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: MediaServer

    def do_GET(self) -> None:
        self.served.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path, _, rest = self.path.partition("?")
        answer: Callable[[str], None] = getattr(self, f"serve_{path.strip('/').partition('.')[0]}", self.serve_missing)
        with contextlib.suppress(OSError):
            answer(rest)

    def log_message(self, *_: Any) -> None:
        pass

    def send(self, content: bytes, media_type: str | None, **headers: str) -> None:
        self.send_response(200)
        if media_type is not None:
            self.send_header("content-type", media_type)
        for name, value in ({"content_length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def serve_missing(self, _rest: str) -> None:
        self.send_error(404)

    def serve_image(self, _rest: str) -> None:
        self.send(PNG, "image/png")

    def serve_untyped(self, _rest: str) -> None:
        self.send(PNG, None)

    def serve_unknown(self, _rest: str) -> None:
        self.send(b"\x00\x01\x02\x03", "application/octet-stream")

    def serve_document(self, _rest: str) -> None:
        self.send(PDF, "application/pdf; charset=binary")

    def serve_page(self, _rest: str) -> None:
        self.send(b"<!doctype html>", "text/html")

    def serve_empty(self, _rest: str) -> None:
        self.send(b"", "image/png")

    def serve_zipped(self, _rest: str) -> None:
        self.send(PNG, "image/png", content_encoding="gzip")

    def serve_redirect(self, rest: str) -> None:
        self.send_response(302)
        self.send_header("location", rest)
        self.send_header("content-length", "0")
        self.end_headers()

    def serve_nowhere(self, _rest: str) -> None:
        self.send_response(302)
        self.send_header("content-length", "0")
        self.end_headers()

    def serve_loop(self, _rest: str) -> None:
        self.serve_redirect("/loop")

    def serve_large(self, _rest: str) -> None:
        self.send(b"", "image/png", content_length="99999999999")

    def serve_endless(self, _rest: str) -> None:
        """Send chunks without end, of which no header tells."""
        self.send_response(200)
        self.send_header("content-type", "image/png")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    def serve_slow(self, _rest: str) -> None:
        """Send a byte from time to time."""
        self.send_response(200)
        self.send_header("content-type", "image/png")
        self.send_header("content-length", "1000000")
        self.end_headers()
        while True:
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def serve_silent(self, _rest: str) -> None:
        time.sleep(30)

    def serve_broken(self, _rest: str) -> None:
        self.send(PNG, "image/png", content_length=str(len(PNG) + 10))
        self.close_connection = True
        self.connection.close()

    def serve_garbage(self, _rest: str) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        self.close_connection = True


@contextlib.contextmanager
def media_server(host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[MediaServer]:
    """Yield a running server."""
    found = MediaServer(host, port)
    server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"served": found}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
