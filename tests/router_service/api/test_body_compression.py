"""Test that compressed request bodies are read, and that their decompression is bounded."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import DefaultHttpxClient, OpenAI

from router_service.api.body_compression import MAX_PARTS, zstd
from tests.conftest import Stack, open_stack

MODEL = "openai/gpt-oss-120b"
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}).encode()
LIMIT = 64 * 1024


def without_header(content: bytes) -> bytes:
    """Return raw deflate data, as some clients send it under the name of deflate."""
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(content) + made.flush()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("bodies"), max_body_bytes=LIMIT) as opened:
        yield opened


def post(stack: Stack, content: bytes, encoding: str, path: str = "/api/v1/chat/completions") -> httpx2.Response:
    with stack.client as client:
        return client.post(path, content=content, headers={"content-encoding": encoding.encode("latin-1")})


def size(value: object) -> str | None:
    """Return the id of a parameter: of bytes their number."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else None


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (gzip.compress(BODY, mtime=0), "gzip"),
        (gzip.compress(BODY, mtime=0), "X-Gzip"),
        (gzip.compress(BODY[:30], mtime=0) + gzip.compress(BODY[30:], mtime=0), "gzip"),
        (zlib.compress(BODY), "deflate"),
        (without_header(BODY), "deflate"),
        (zstd.compress(BODY), "zstd"),
        (BODY, "identity"),
    ],
    ids=size,
)
@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"])
def test_a_compressed_body_is_served(stack: Stack, content: bytes, encoding: str, path: str) -> None:
    assert post(stack, content, encoding, path).status_code == 200


def test_a_compressed_body_is_read_by_fastapi_too(stack: Stack) -> None:
    found = post(stack, gzip.compress(BODY, mtime=0), "gzip", "/api/v1/route/preview")
    assert found.json()["data"]["requested_models"] == [MODEL]


@pytest.mark.parametrize(
    ("content", "encoding", "status", "sentence"),
    [
        (gzip.compress(b"[" * (LIMIT + 1), mtime=0), "gzip", 413, "65,536 bytes when it is decompressed"),
        (zstd.compress(b"[" * 100 * 2**20), "zstd", 413, "65,536 bytes when it is decompressed"),
        (zlib.compress(b"[" * 100 * 2**20)[:LIMIT], "deflate", 413, "65,536 bytes when it is decompressed"),
        (gzip.compress(b"", mtime=0) * (MAX_PARTS + 1), "gzip", 400, "more than 16 gzip parts"),
        (BODY, "gzip", 400, "not valid gzip"),
        (gzip.compress(BODY, mtime=0)[:-4], "gzip", 400, "incomplete"),
        (zstd.compress(BODY)[:-1], "zstd", 400, "incomplete"),
        (BODY, "br", 415, "'br'; send gzip, deflate, zstd or none"),
        (BODY, "gzip, gzip", 415, "send gzip, deflate, zstd or none"),
        (BODY, "\xfc", 415, "send gzip, deflate, zstd or none"),
    ],
    ids=size,
)
def test_a_body_that_cannot_be_read_is_refused_with_a_sentence(
    stack: Stack, content: bytes, encoding: str, status: int, sentence: str
) -> None:
    found = post(stack, content, encoding)
    assert (found.status_code, found.json()["error"]["code"]) == (status, status)
    assert sentence in found.json()["error"]["message"]


def test_a_window_beyond_that_of_http_is_refused(stack: Stack) -> None:
    """Test that a few bytes cannot make the router allocate a window of 128 MiB."""
    made = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    content = made.compress(BODY) + made.flush()
    assert "not valid zstd" in post(stack, content, "zstd").json()["error"]["message"]


def test_the_openai_sdk_may_compress_its_requests(tmp_path: Path) -> None:
    def compress(request: Any) -> None:
        content = gzip.compress(request.read(), mtime=0)
        request.headers["content-encoding"] = "gzip"
        request.headers["content-length"] = str(len(content))
        request.stream = type(request.stream)(content)

    with open_stack(tmp_path) as stack:
        http = DefaultHttpxClient(event_hooks={"request": [compress]})
        with OpenAI(base_url=f"{stack.url}/api/v1", api_key=stack.key, http_client=http) as sdk:
            answer = sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content and answer._request_id == answer.id


def test_a_byte_order_mark_before_a_body_is_ignored(stack: Stack) -> None:
    for path in ("/api/v1/chat/completions", "/v1/messages", "/api/v1/route/preview"):
        with stack.client as client:
            assert client.post(path, content=b"\xef\xbb\xbf" + BODY).status_code == 200
