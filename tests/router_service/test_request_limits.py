"""Test over raw sockets that a served router bounds the head of a request and the time that a client takes for it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from router_service.http_protocol import MAX_PIPELINED
from tests.running import Running, free_port

HEAD_BYTES, HEADERS, CONNECTIONS = 8192, 40, 200
POST = b"POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """Serve a router with short limits, as a process of its own; yields its port and a key."""
    folder, number = tmp_path_factory.mktemp("limits"), free_port()
    key = create_key(open_database(Lake(folder / "data").create().database), "test")
    variables = {
        "PORTOLAN_LAB_URL": "http://127.0.0.1:9",
        "PORTOLAN_MAX_REQUEST_HEAD_BYTES": str(HEAD_BYTES),
        "PORTOLAN_MAX_REQUEST_HEADERS": str(HEADERS),
        "PORTOLAN_MAX_CONNECTIONS_PER_ADDRESS": str(CONNECTIONS),
        "PORTOLAN_REQUEST_HEAD_TIMEOUT": "1",
        "PORTOLAN_REQUEST_BODY_IDLE_TIMEOUT": "1",
    }
    arguments = ("serve", "--port", str(number), "--data-dir", str(folder / "data"))
    with Running(folder / "output", *arguments, **variables) as router:
        router.ready(f"http://127.0.0.1:{number}/health")
        yield number, key


@pytest.fixture(scope="module")
def port(served: tuple[int, str]) -> int:
    return served[0]


@pytest.fixture(scope="module")
def post(served: tuple[int, str]) -> bytes:
    """Return the beginning of a request whose body the router reads: with an unknown key it would not."""
    return POST + f"authorization: Bearer {served[1]}\r\n".encode()


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def rest(client: socket.socket) -> bytes:
    """Return all that the server sends until it closes the connection."""
    return b"".join(iter(lambda: client.recv(65_536), b""))


def responses(port: int, *parts: bytes) -> bytes:
    """Return what the server sends for ``parts`` until it closes the connection."""
    with dial(port) as client:
        for part in parts:
            client.sendall(part)
        return rest(client)


def refused(received: bytes, status: int) -> str:
    """Return the sentence of the only response, which is a refusal in the API's envelope."""
    head, _, content = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), received
    assert b"connection: close" in head
    error = json.loads(content)["error"]
    assert (error["code"], error["metadata"]["error_type"]) == (status, "invalid_request")
    return str(error["message"])


def status_of(client: socket.socket, sent: bytes) -> bytes:
    """Return the status of the response to ``sent``, whose body is read as well."""
    client.sendall(sent)
    file = client.makefile("rb")
    status = file.readline().split()[1]
    length = 0
    while (line := file.readline()) != b"\r\n":
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    file.read(length)
    return status


@pytest.mark.parametrize(
    "parts",
    [
        (POST + b"x-long: " + b"a" * HEAD_BYTES + b"\r\n\r\n",),
        (POST + b"x-long: ", *[b"a" * 1000] * 20),
        (POST, *[b"x-many: 1\r\n"] * HEADERS, b"\r\n"),
        (b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nhost: x\r\n\r\n",),
        (b"GET /", *[b"a" * 1000] * 20),
        (HEALTH.replace(b"host", b"x: " + b"a" * HEAD_BYTES + b"\r\nhost") * 3,),
    ],
    ids=["line", "endless_line", "many", "address", "endless_address", "pipelined"],
)
def test_a_head_that_is_too_large_is_refused_with_a_sentence(parts: tuple[bytes, ...], port: int) -> None:
    message = refused(responses(port, *parts), 431)
    assert "8,192 bytes or 40 headers" in message


def test_a_client_that_sends_on_reads_the_refusal_all_the_same(port: int) -> None:
    with dial(port) as client:
        with suppress(OSError):
            for _ in range(20):
                client.sendall(b"GET /" + b"a" * 100_000)
        assert "8,192 bytes" in refused(rest(client), 431)


def test_a_large_body_in_one_piece_with_its_head_is_no_large_head(port: int) -> None:
    content = json.dumps({"model": "m", "text": "y" * 200_000}).encode()
    with dial(port) as client:
        for _ in range(3):
            assert status_of(client, POST + b"content-length: %d\r\n\r\n" % len(content) + content) == b"401"


def test_a_head_just_below_the_limits_passes(port: int) -> None:
    many = b"".join(b"x-%d: 1\r\n" % number for number in range(HEADERS - 2))
    with dial(port) as client:
        assert status_of(client, HEALTH[:-2] + many + b"\r\n") == b"200"
        assert status_of(client, HEALTH[:-2] + b"x-long: " + b"a" * (HEAD_BYTES - 100) + b"\r\n\r\n") == b"200"


@pytest.mark.parametrize("before", [b"", HEALTH, HEALTH + HEALTH], ids=["first", "second", "third"])
def test_a_head_that_does_not_end_in_time_is_refused(before: bytes, port: int) -> None:
    with dial(port) as client:
        for _ in range(before.count(HEALTH)):
            assert status_of(client, HEALTH) == b"200"
        client.sendall(POST + b"x-slow: ")
        assert "head of the request did not arrive within 1 s" in refused(rest(client), 408)


def test_a_head_that_trickles_is_refused_although_it_is_never_idle(port: int) -> None:
    with dial(port) as client:
        client.settimeout(0.05)
        received = b""
        client.sendall(POST + b"x-slow: ")
        for _ in range(2000):
            with suppress(OSError):
                client.sendall(b"a")
            try:
                received = client.recv(65_536)
                break
            except TimeoutError:
                continue
        client.settimeout(60)
        assert "head of the request did not arrive within 1 s" in refused(received + rest(client), 408)


def test_a_connection_that_sends_nothing_is_closed_without_a_response(port: int) -> None:
    assert responses(port) == b""


def test_empty_lines_do_not_keep_a_connection_open(port: int) -> None:
    with dial(port) as client:
        assert status_of(client, HEALTH) == b"200"
        client.sendall(b"\r\n")
        assert "did not arrive within 1 s" in refused(rest(client), 408)


@pytest.mark.parametrize(
    "framing",
    [b"content-length: 100\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n5"],
    ids=["length", "chunked"],
)
def test_a_body_that_stops_is_refused(framing: bytes, port: int, post: bytes) -> None:
    message = refused(responses(port, post + framing), 408)
    assert "body of the request did not arrive within 1 s" in message


def test_a_body_that_goes_on_is_read_to_its_end(port: int, post: bytes) -> None:
    content = b'{"model": "m"}'
    with dial(port) as client:
        client.sendall(post + b"content-length: %d\r\n\r\n" % len(content))
        for i in range(len(content) - 1):
            client.sendall(content[i : i + 1])
            # Longer in all than the limit for one gap.
            with pytest.raises(TimeoutError):
                client.settimeout(0.15)
                client.recv(1)
        client.settimeout(60)
        assert status_of(client, content[-1:]) == b"400"


@pytest.mark.parametrize(
    "endless", [b"5;" + b"e" * 1000, b"0\r\nx-trailer: " + b"t" * 1000, b"0\r\n" + b"t: 1\r\n" * 200]
)
def test_chunk_sizes_and_trailers_have_a_limit(endless: bytes, port: int, post: bytes) -> None:
    with dial(port) as client:
        client.sendall(post + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n" + endless)
        with suppress(OSError):
            # More than the server reads at once: within one read nothing is counted.
            for _ in range(1000):
                client.sendall(endless.rpartition(b"\r\n")[2] or b"t: 1\r\n" * 200)
        assert "8,192 bytes" in refused(rest(client), 431)


def test_pipelined_requests_are_answered_in_order_up_to_a_limit(port: int) -> None:
    with dial(port) as client:
        client.sendall(HEALTH * 10)
        received = b""
        while received.count(b"HTTP/1.1 200") < 10:
            received += client.recv(65_536) or pytest.fail(f"closed after {received!r}")
    answered = responses(port, HEALTH * 500).count(b"HTTP/1.1 200")
    assert 0 < answered <= MAX_PIPELINED + 1


@pytest.mark.parametrize(
    "nonsense", [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
)
def test_what_is_not_http_is_refused_with_a_sentence(nonsense: bytes, port: int) -> None:
    assert "RFC 9112" in refused(responses(port, nonsense), 400)


@pytest.mark.parametrize(
    ("origin", "parts"),
    [
        (b"http://localhost:3000", (b"x-long: " + b"a" * HEAD_BYTES + b"\r\n\r\n",)),
        (b"http://localhost:3000", (b"x-read: 1\r\nnot a header\r\n\r\n",)),
        (b"http://localhost:3000", (b"x-late: 1\r\n",)),
        (b"https://other.example", (b"x-late: 1\r\n",)),
    ],
)
def test_a_page_that_may_call_reads_the_refusal(origin: bytes, parts: tuple[bytes, ...], port: int) -> None:
    """The headers of CORS are those of any other response, where the origin came before the fault."""
    head = responses(port, POST + b"Origin: " + origin + b"\r\n", *parts).partition(b"\r\n\r\n")[0]
    assert b"vary: Origin" in head
    assert (b"access-control-allow-origin: " + origin in head) == origin.startswith(b"http://localhost")


def test_the_router_serves_on_after_all_refusals(port: int) -> None:
    with dial(port) as client:
        for _ in range(3):
            assert status_of(client, HEALTH) == b"200"


def test_connections_that_another_protocol_takes_over_are_no_longer_counted(port: int) -> None:
    upgrade = HEALTH[:-2] + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"
    for _ in range(CONNECTIONS + 1):
        with dial(port) as client:
            client.sendall(upgrade)
            rest(client)
    with dial(port) as client:
        client.sendall(HEALTH)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
