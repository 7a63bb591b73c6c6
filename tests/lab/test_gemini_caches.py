"""Test that Google's own client keeps caches at the lab, and that the lab refuses what Google refuses of them."""

from __future__ import annotations

from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from lab.gemini_caches import CachedPrompts
from lab.shapes import RequestRefused
from tests.lab.google_clients import studio_client

FLASH, PRO = "gemini-3-flash-preview", "gemini-2.5-pro"
TIDES = "The tide turns twice a day. " * 600
TOKENS = len(TIDES) // 4
NOTHING: dict[str, object] = {"type": "object", "properties": {}}
NOT_THERE = r"403 PERMISSION_DENIED.*CachedContent not found \(or permission denied\)"


def created(client: genai.Client, model: str = FLASH, **config: Any) -> types.CachedContent:
    """Return a new cache."""
    return client.caches.create(model=model, config={"contents": [TIDES], "ttl": "300s", **config})


@pytest.mark.parametrize("place", ["google", "vertex"])
def test_googles_own_client_keeps_a_cache(place: str, request: pytest.FixtureRequest) -> None:
    client: genai.Client = request.getfixturevalue(place)
    made = created(client, display_name="tides", system_instruction="Be brief.")
    name = made.name or ""
    prefix = "cachedContents/" if place == "google" else "projects/harbour/locations/europe-west1/cachedContents/"
    assert name.startswith(prefix) and (made.model or "").endswith(FLASH) and made.display_name == "tides"
    assert made.usage_metadata and made.usage_metadata.total_token_count == (len(TIDES) + len("Be brief.")) // 4
    assert client.caches.get(name=name) == made and name in {one.name for one in client.caches.list()}
    later = client.caches.update(name=name, config={"ttl": "7200s"})
    assert later.expire_time and made.expire_time and later.expire_time > made.expire_time
    client.caches.delete(name=name)
    with pytest.raises(errors.ClientError, match=NOT_THERE):
        client.caches.get(name=name)


@pytest.mark.parametrize("place", ["google", "vertex"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_prompt_reads_its_cache(place: str, stream: bool, request: pytest.FixtureRequest) -> None:
    client: genai.Client = request.getfixturevalue(place)
    config = types.GenerateContentConfig(cached_content=created(client).name)
    if stream:
        *_, found = client.models.generate_content_stream(model=FLASH, contents="Ebb or flood?", config=config)
    else:
        found = client.models.generate_content(model=FLASH, contents="Ebb or flood?", config=config)
    usage = found.usage_metadata
    assert usage and usage.cached_content_token_count == TOKENS
    assert usage.prompt_token_count == TOKENS + len("Ebb or flood?") // 4


def test_a_prompt_continues_what_its_cache_holds(google: genai.Client) -> None:
    """Check that the model knows the tools of a cache, and that the history is judged as a whole."""
    ask = types.Content(role="user", parts=[types.Part(text=f"{TIDES} [lab:scenario=tool]")])
    offered = types.Tool(function_declarations=[types.FunctionDeclaration(name="tide", parameters_json_schema=NOTHING)])
    made = created(google, contents=[ask], tools=[offered])
    config = types.GenerateContentConfig(cached_content=made.name)
    found = google.models.generate_content(model=FLASH, contents="Go on. [lab:scenario=tool]", config=config)
    assert found.function_calls and found.function_calls[0].name == "tide"
    answer = types.Part.from_function_response(name="tide", response={"output": "ebb"})
    with pytest.raises(errors.ClientError, match="function response turn comes immediately after a function call turn"):
        google.models.generate_content(model=FLASH, contents=types.Content(role="user", parts=[answer]), config=config)


def test_pages_of_caches_follow_each_other(quiet_lab_url: str) -> None:
    with studio_client(quiet_lab_url, "of pages") as client:
        names = [created(client).name for _ in range(3)]
        assert [one.name for one in client.caches.list(config={"page_size": 2})] == names


@pytest.mark.parametrize(
    ("model", "config", "words"),
    [
        (
            FLASH,
            {"contents": ["Short."]},
            "Cached content is too small. total_token_count=1, min_total_token_count=4096",
        ),
        (PRO, {"contents": [TIDES[:8000]]}, "total_token_count=2000, min_total_token_count=2048"),
        ("gemini-embedding-001", {}, "404 NOT_FOUND.*not supported for createCachedContent"),
        (FLASH, {"ttl": "5 minutes"}, "Invalid value at 'cached_content.ttl'"),
        (FLASH, {"ttl": None, "expire_time": "2020-01-01T00:00:00Z"}, "must be in the future"),
    ],
)
def test_the_lab_refuses_what_google_refuses(google: genai.Client, model: str, config: Any, words: str) -> None:
    with pytest.raises(errors.ClientError, match=words.replace("'", ".*")):
        created(google, model, **config)


def test_a_cache_is_for_its_model_and_its_project(google: genai.Client, quiet_lab_url: str) -> None:
    name = created(google).name
    config = types.GenerateContentConfig(cached_content=name)
    with pytest.raises(errors.ClientError, match=r"Model used by GenerateContent request .* has to be the same"):
        google.models.generate_content(model=PRO, contents="?", config=config)
    with studio_client(quiet_lab_url, "another") as stranger, pytest.raises(errors.ClientError, match=NOT_THERE):
        stranger.models.generate_content(model=FLASH, contents="?", config=config)


def test_a_cache_expires() -> None:
    now = [1000.0]
    caches = CachedPrompts(clock=lambda: now[0])
    body = {"model": f"models/{FLASH}", "contents": [{"parts": [{"text": TIDES}]}], "ttl": "60s"}
    name = caches.create("google", "key", body)["name"]
    now[0] += 59
    caches.update("key", name, {"ttl": "10.5s"})
    now[0] += 10
    assert caches.named_for("key", name, FLASH).tokens == TOKENS
    now[0] += 1
    with pytest.raises(RequestRefused, match="not found"):
        caches.named_for("key", name, FLASH)
