"""Extend uvicorn's HTTP/1.1 protocol by limits of what a client may send and how slowly.

uvicorn bounds neither the head of a request nor the time that it takes, so a few slow connections could hold memory and
sockets for ever. One timer per connection watches all its limits, those between two requests included.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from router_service.api.cross_origin import CROSS_ORIGIN_KEY, CrossOrigin
from router_service.api.skins.skin import Headers
from router_service.core.client_connection import CONNECTION_KEY, ClientConnection
from router_service.core.errors import ApiError, RequestRefusal
from router_service.core.http_limits import STATE_KEY, HttpLimits
from router_service.http_response import ResponseCycle, SmallEvent

# Requests that wait on one connection for the response to the first. A few clients pipeline; none needs more.
MAX_PIPELINED = 16
# Time in which a refused client may read the refusal: closing at once would destroy it while the client still sends.
LINGER_S = 2.0
# Pause between the first two probes of a half-closed connection: longer than a packet takes there and back.
FIRST_PROBE_S = 0.25
NOTHING, HEAD, BODY = range(3)
# Under this key of the lifespan's state are the open connections of the worker by address.
ADDRESSES_KEY = "connections_by_address"
SERVERS_KEY = "server_addresses"


class Pipeline(list[Any]):
    """Queue the requests that wait on one connection, at most ``MAX_PIPELINED``, as uvicorn's deque does."""

    def appendleft(self, waiting: Any) -> None:
        """Add the request that is served last."""
        self.insert(0, waiting)


class HttpProtocol(HttpToolsProtocol):
    """Bound each request by ``HttpLimits``. Pass this class to ``uvicorn.run(http=…)``.

    The application passes its limits in the state of its lifespan, under ``STATE_KEY``; the defaults serve without.
    uvicorn's access log, ``limit_concurrency`` and ``reset_contextvars`` are not supported.
    """

    # CPython shares the keys of instances that have at most 30 attributes, and uvicorn's have 28. With more, an open
    # connection takes another 1.2 kB.
    __slots__ = (
        "_address",
        "_awaited",
        "_begun",
        "_chunk_bytes",
        "_client",
        "_due",
        "_framing_bytes",
        "_half_closed",
        "_head_bytes",
        "_limits",
        "_probe",
        "_refusal",
        "_refused",
        "_timer",
        "_unread",
        "_write_timer",
    )  # fmt: skip

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.pipeline = Pipeline()  # type: ignore[assignment]
        self._limits: HttpLimits = self.app_state.get(STATE_KEY) or HttpLimits()
        self._client = ClientConnection()
        self._awaited = HEAD
        self._begun = False
        self._chunk_bytes = 0
        self._head_bytes = 0
        # Bytes of a body since its last content: sizes of chunks, and trailers.
        self._framing_bytes = 0
        self._refusal: ApiError | None = None
        self._refused = False
        # When the client must have sent more, in seconds of the loop's clock, and the timer that looks.
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._half_closed = False
        self._probe: asyncio.TimerHandle | None = None
        self._address: str | None = None
        # The timer that looks whether the client has read anything, and the bytes that waited for it the last time.
        self._write_timer: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # All connections to an address of this machine have one object of it.
        servers: dict[Any, Any] = self.app_state.setdefault(SERVERS_KEY, {})
        self.server = servers.setdefault(self.server, self.server)
        self.flow._is_writable_event = SmallEvent()
        self.flow._is_writable_event.set()
        self._watch(self._limits.head_timeout_s)
        self._count_connection()

    def _count_connection(self) -> None:
        """Count the connection, and refuse it if there are too many."""
        limits = self._limits
        by_address: dict[str, int] = self.app_state.setdefault(ADDRESSES_KEY, {})
        address = self._address = self.client[0] if self.client else ""
        count = by_address[address] = by_address.get(address, 0) + 1
        if limits.connections and len(self.connections) > limits.connections:
            self._refuse(overload_error("connections", limits.connections))
        elif limits.connections_per_address and count > limits.connections_per_address:
            self._refuse(overload_error("connections from one address", limits.connections_per_address))

    def _forget_connection(self) -> None:
        by_address: dict[str, int] = self.app_state[ADDRESSES_KEY]
        address, self._address = self._address, None
        if address is None:
            return
        by_address[address] -= 1
        if not by_address[address]:
            del by_address[address]

    def pause_writing(self) -> None:
        """Stop the response, and end the connection of a client that goes on to read nothing of it."""
        super().pause_writing()
        if self._write_timer is None:
            self._unread = self.transport.get_write_buffer_size()
            self._write_timer = self.loop.call_later(self._limits.write_idle_timeout_s, self._check_reader)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _check_reader(self) -> None:
        self._write_timer = None
        unread = self.transport.get_write_buffer_size()
        if unread < self._unread:
            self._unread = unread
            self._write_timer = self.loop.call_later(self._limits.write_idle_timeout_s, self._check_reader)
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_connection()
        if self._timer is not None:
            self._timer.cancel()
        if self._write_timer is not None:
            self._write_timer.cancel()
        if self._probe is not None:
            self._probe.cancel()
        super().connection_lost(exc)
        self._client.lose()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        size = self._chunk_bytes = len(data)
        if self._awaited == HEAD:
            self._head_bytes += size
        elif self._awaited == BODY:
            self._framing_bytes += size
        self._begun = False
        super().data_received(data)
        if self._refused or (self._begun and self._awaited == NOTHING):
            return
        limits = self._limits
        if self._awaited == BODY:
            if self._framing_bytes > limits.head_bytes:
                self._refuse(_head_too_large(limits))
            self._watch(limits.body_idle_timeout_s)
        elif self._awaited == HEAD and self._head_bytes > limits.head_bytes:
            self._refuse(_head_too_large(limits))
        elif self._begun:
            self._watch(limits.head_timeout_s)
        elif self._awaited == NOTHING:
            # Empty lines between requests: uvicorn has stopped its own timer.
            self._awaited, self._head_bytes = HEAD, size
            self._watch(limits.head_timeout_s)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection of a client that has stopped sending while it waits for a response.

        TLS has no half-closed connections in asyncio. A response that has begun is continued by those alone that find
        out whether the client has gone (``ClientConnection.on_half_closed``): others would stream to nobody.
        """
        cycle = self.cycle
        waits = self._awaited == NOTHING and cycle is not None and not cycle.response_complete
        if not waits or self.scheme == "https":
            return None
        if cycle.response_started and self._client.on_half_closed is None:
            return None
        if not self._half_closed:
            self._half_closed = True
            cycle.keep_alive = False
            self._probe_client(FIRST_PROBE_S)
            self._client.half_close()
        return True

    def _probe_client(self, pause_s: float) -> None:
        """Write an interim response, now and after longer and longer pauses, until the response itself begins.

        A client that has closed the connection looks like one that has only stopped sending, until something is
        written to it: then its machine resets the connection. Clients ignore 100 (RFC 9110, section 15.2).
        """
        cycle = self.cycle
        if cycle.response_started or self.transport.is_closing():
            return
        if not self.pipeline and cycle.scope["http_version"] != "1.0":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._probe = self.loop.call_later(pause_s, self._probe_client, 2 * pause_s)

    def _watch(self, seconds: float) -> None:
        """Expect more from the client within ``seconds``. A timer that is running looks again when it is over."""
        self._due = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(self._due, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._awaited == NOTHING or self._refused or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.flow.read_paused:
            # The router has stopped reading, so the client is not late.
            self._due = now + self._limits.body_idle_timeout_s
        if now < self._due:
            # A timer may fire a little early: the minimum prevents a busy loop.
            self._timer = self.loop.call_later(max(self._due - now, 0.001), self._check)
        elif self._awaited == HEAD and not self._head_bytes:
            self._close_idle()
        else:
            what, limit = "head", self._limits.head_timeout_s
            if self._awaited == BODY:
                what, limit = "body", self._limits.body_idle_timeout_s
            self._refuse(RequestRefusal(408, f"The {what} of the request did not arrive within {limit:g} s"))

    def _close_idle(self) -> None:
        """Close the connection at once: a client that has not read the last response by now will not."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    # Callbacks of httptools

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop_parsing(RequestRefusal(400, f"At most {MAX_PIPELINED} requests may wait for a response"))
        self._begun = True
        if self._awaited != HEAD:
            # Its first byte has come; how many more of this chunk belong to it, ``on_headers_complete`` counts.
            self._awaited, self._head_bytes = HEAD, 1
        super().on_message_begin()
        self.scope["state"][CONNECTION_KEY] = self._client

    def on_headers_complete(self) -> None:
        limits = self._limits
        # The exact size matters only if the chunks that brought the head, and maybe some of a body, are large.
        if len(self.headers) > limits.headers or (
            self._head_bytes + self._chunk_bytes > limits.head_bytes
            and len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > limits.head_bytes
        ):
            self._stop_parsing(_head_too_large(limits))
        if limits.requests and len(self.tasks) >= limits.requests:
            self._stop_parsing(overload_error("unfinished requests", limits.requests))
        self._awaited, self._framing_bytes = BODY, 0
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        cycle = self._new_cycle()
        if self.cycle is None or self.cycle.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        self.cycle = cycle

    def _new_cycle(self) -> ResponseCycle:
        """Complete the scope of the request whose head has come, and return what serves it."""
        scope, parser = self.scope, self.parser
        version = scope["http_version"] = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + url.path
        scope["query_string"] = url.query or b""
        return ResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=SmallEvent(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, ResponseCycle)
        self._client.response = cycle
        task = self._client.task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        self._framing_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._awaited = NOTHING
        super().on_message_complete()
        if not self.pipeline:
            # A large body has paused the reading, without which a client that disconnects is not noticed.
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Serve the next request that waits, or wait for one, without the timer that uvicorn makes for each wait."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._awaited == NOTHING:
            self._awaited, self._head_bytes = HEAD, 0
            self._watch(self.timeout_keep_alive)

    def handle_websocket_upgrade(self) -> None:
        self._awaited = NOTHING
        # Another protocol takes the connection over, and hears of its end.
        self._forget_connection()
        super().handle_websocket_upgrade()

    def _stop_parsing(self, error: ApiError) -> None:
        """Make the parser stop; uvicorn then calls ``send_400_response``."""
        self._refusal = error
        raise ValueError(error.message)

    def send_400_response(self, msg: str) -> None:
        """Refuse the request that cannot be parsed, or was not to be. uvicorn calls this with its own sentence."""
        self._refuse(self._refusal or RequestRefusal(400, f"{msg} Send HTTP/1.1 as RFC 9112 defines it"))

    def _cross_origin_headers(self) -> Headers:
        """Return the headers for a page of another origin, if the part of the head that was read names one."""
        allowed: CrossOrigin | None = self.app_state.get(CROSS_ORIGIN_KEY)
        origin = next((value for name, value in self.headers or () if name == b"origin"), None)
        return [] if allowed is None or origin is None else allowed.headers(origin)

    def _refuse(self, error: ApiError) -> None:
        """Respond with ``error``, read no more requests, and close the connection when the client has read it."""
        self._refused = True
        cycle = self.cycle
        is_free = cycle is None or cycle.response_complete
        if self._awaited == BODY:
            if is_free or cycle.response_started or self.pipeline:
                self.transport.close()
                return
            # The handler still reads this body. It learns that the client has gone.
            cycle.disconnected = True
            cycle.message_event.set()
        elif not is_free:
            # Another response is on its way, which is the last one.
            cycle.keep_alive = False
            return
        content = msgspec.json.encode(error.envelope())
        self.transport.write(
            STATUS_LINE[error.code]
            + b"".join(b"%b: %b\r\n" % header for header in error.headers())
            + b"".join(b"%b: %b\r\n" % header for header in self._cross_origin_headers())
            + b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(content)
            + content
        )
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self._timer = self.loop.call_later(LINGER_S, self.transport.close)
        else:
            self.transport.close()


def overload_error(what: str, limit: int) -> ApiError:
    """Return the 503 for more ``what`` than this worker's ``limit``."""
    message = f"This router has its limit of {limit:,} {what}; try again"
    return ApiError("provider_overloaded", message, retry_after=1)


def _head_too_large(limits: HttpLimits) -> RequestRefusal:
    message = f"The head of the request exceeds {limits.head_bytes:,} bytes or {limits.headers} headers; send fewer"
    return RequestRefusal(431, message)
