"""Test the fetcher on servers of this machine, with rules that allow loopback and resolvers of the tests' own."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator, Sequence

import pytest
import trustme

from router_service.core.parts import Media
from router_service.upstream.address_rules import FetchFailed, FetchRules, make_rules
from router_service.upstream.fetcher import MediaFetcher
from tests.router_service.upstream.media_servers import PDF, PNG, MediaServer, media_server

LOOPBACK = ("127.0.0.1/32",)


@pytest.fixture(scope="module")
def server() -> Iterator[MediaServer]:
    with media_server() as found:
        yield found


class Answers:
    """Resolve every host to the next of ``answers``; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def rules_for(server: MediaServer, networks: Sequence[str] = LOOPBACK, **limits: float) -> FetchRules:
    return make_rules((), networks, (server.port,))._replace(**limits)  # type: ignore[arg-type]


async def fails(fetcher: MediaFetcher, url: str, kind: str = "image", max_bytes: int = 10_000) -> str:
    with pytest.raises(FetchFailed) as failed:
        await fetcher.fetch(url, kind, max_bytes)  # type: ignore[arg-type]
    return str(failed.value)


async def test_a_medium_is_fetched_with_its_type_and_name(server: MediaServer) -> None:
    fetcher = MediaFetcher(rules_for(server))
    found = await fetcher.fetch(server.url("/image.png?x=1"), "image", 10_000)
    assert found == (PNG, "image/png", "image.png")
    path, headers = server.requests[-1]
    assert path == "/image.png?x=1" and headers["host"] == f"127.0.0.1:{server.port}"
    assert "authorization" not in headers and "cookie" not in headers and headers["accept-encoding"] == "identity"
    document = await fetcher.fetch(server.url("/document.pdf"), "file", 10_000)
    part = document.of(Media(kind="file", url="x"))
    assert (part.kind, part.media_type, part.name, part.url) == ("document", "application/pdf", "document.pdf", None)
    assert base64.b64decode(part.data or "") == PDF


async def test_the_first_bytes_tell_the_type_where_the_server_does_not(server: MediaServer) -> None:
    assert (await MediaFetcher(rules_for(server)).fetch(server.url("/untyped"), "image", 10_000))[1] == "image/png"


@pytest.mark.parametrize(
    ("path", "kind", "problem"),
    [
        ("/page", "image", "it is text/html, which is no image that providers take"),
        ("/page", "file", "it is text/html"),
        ("/document.pdf", "image", "it is application/pdf"),
        ("/image.png", "document", "it is image/png"),
        ("/unknown", "file", "names no media type"),
        ("/empty", "image", "it is empty"),
        ("/zipped", "image", "compresses it with gzip"),
        ("/missing", "image", "its server answers 404"),
        ("/large", "image", "more than 10,000 bytes"),
        ("/endless", "image", "more than 10,000 bytes"),
        ("/broken", "image", "did not answer"),
        ("/garbage", "image", "did not answer"),
        ("/loop", "image", "redirects more than 5 times"),
        ("/nowhere", "image", "302 without an address"),
        ("/redirect?ftp://a.example/", "image", "must begin with http"),
        ("/redirect?http://a.example:22/", "image", "names port 22"),
    ],
)
async def test_what_is_no_medium_is_refused(server: MediaServer, path: str, kind: str, problem: str) -> None:
    assert problem in await fails(MediaFetcher(rules_for(server)), server.url(path), kind)


@pytest.mark.parametrize("path", ["/slow", "/silent"])
async def test_a_server_has_a_limited_time(server: MediaServer, path: str) -> None:
    fetcher = MediaFetcher(rules_for(server, timeout_s=0.3))
    assert await fails(fetcher, server.url(path), max_bytes=10**9) == "it was not there within 0.3 s"


async def test_loopback_is_refused_unless_it_is_allowed(server: MediaServer) -> None:
    before = len(server.requests)
    fetcher = MediaFetcher(rules_for(server, networks=()))
    for host in ("127.0.0.1", "localhost", "127.0.0.1."):
        assert "at a loopback address" in await fails(fetcher, server.url("/image.png", host))
    assert "IPv6 form" in await fails(fetcher, server.url("/image.png", "[::ffff:127.0.0.1]"))
    for host in ("2130706433", "0x7f.1", "0177.0.0.1", "127.1"):
        assert "unusual form" in await fails(fetcher, server.url("/image.png", host))
    assert len(server.requests) == before


async def test_a_name_at_a_private_address_is_refused(server: MediaServer) -> None:
    before = len(server.requests)
    for answer in (["10.0.0.7"], ["169.254.169.254"], ["::1"], ["8.8.8.8", "127.0.0.1"]):
        fetcher = MediaFetcher(rules_for(server, networks=()), Answers(answer))
        assert "which the router does not fetch from" in await fails(fetcher, server.url("/image.png", "a.example"))
    assert len(server.requests) == before


async def test_a_name_that_changes_its_answer_is_connected_to_the_judged_address() -> None:
    """The first answer is allowed and the second is not: only the first one is ever used."""
    with media_server() as allowed, media_server("127.0.0.2", allowed.port) as forbidden:
        resolve = Answers(["127.0.0.1"], ["127.0.0.2"])
        fetcher = MediaFetcher(rules_for(allowed), resolve)
        assert (await fetcher.fetch(allowed.url("/image.png", "a.example"), "image", 10_000))[0] == PNG
        assert resolve.asked == ["a.example"] and len(allowed.requests) == 1
        assert allowed.requests[0][1]["host"] == f"a.example:{allowed.port}"
        # The next fetch asks again, and judges the other answer.
        assert "at a loopback address" in await fails(fetcher, allowed.url("/image.png", "a.example"))
        assert not forbidden.requests and len(allowed.requests) == 1


async def test_a_redirect_is_judged_again(server: MediaServer) -> None:
    with media_server("127.0.0.2", server.port) as forbidden:
        resolve = Answers(["127.0.0.1"], ["127.0.0.2"])
        fetcher = MediaFetcher(rules_for(server), resolve)
        url = server.url(f"/redirect?http://b.example:{server.port}/image.png", "a.example")
        assert "at a loopback address" in await fails(fetcher, url)
        assert resolve.asked == ["a.example", "b.example"] and not forbidden.requests
        followed = await MediaFetcher(rules_for(server)).fetch(server.url("/redirect?/image.png"), "image", 10_000)
        assert followed[0] == PNG


async def test_a_host_can_be_allowed(server: MediaServer) -> None:
    rules = make_rules(["files.lan"], (), (server.port,))
    allowed = MediaFetcher(rules, Answers(["127.0.0.1"]))
    assert (await allowed.fetch(server.url("/image.png", "files.lan"), "image", 99))[0] == PNG
    refused = MediaFetcher(rules, Answers(["127.0.0.1"]))
    assert "at a loopback address" in await fails(refused, server.url("/image.png", "other.lan"))


async def test_a_name_without_addresses_is_said_to_be_unknown(server: MediaServer) -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(f"{host}:{port}")

    for resolve in (unknown, Answers([])):
        fetcher = MediaFetcher(rules_for(server), resolve)
        assert "not known to the name server" in await fails(fetcher, server.url("/image.png", "a.example"))


async def test_a_certificate_is_that_of_the_named_host() -> None:
    """The connection is made to an address, but the certificate must name the host of the URL."""
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("a.example").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with media_server(tls=served) as server:
        fetcher = MediaFetcher(rules_for(server), Answers(["127.0.0.1"]), trusting)
        found = await fetcher.fetch(f"https://a.example:{server.port}/image.png", "image", 10_000)
        assert found.content == PNG
        refused = await fails(fetcher, f"https://b.example:{server.port}/image.png")
        assert "its certificate was not accepted" in refused
        down = await fails(
            fetcher, f"https://a.example:{server.port}/redirect?http://a.example:{server.port}/image.png"
        )
        assert down == "its server redirects from https to http"
        unknown = MediaFetcher(rules_for(server), Answers(["127.0.0.1"]))
        assert "certificate" in await fails(unknown, f"https://a.example:{server.port}/image.png")


async def test_no_proxy_is_used(server: MediaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await MediaFetcher(rules_for(server)).fetch(server.url("/image.png"), "image", 10_000))[0] == PNG
