"""Test images through a router in front of a lab: fields, refusals, fits, charges by token and by image, and lists."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from data.catalogue import load_catalogue
from lab.openai_images import picture
from lab.server import Lab
from router_service.api.skins.images.parse import parse_images
from router_service.core.errors import ApiError
from router_service.core.images import ImagesRequest
from router_service.core.json_fields import read_fields
from router_service.providers.formats.openai_chat.images import OpenAIImages
from tests.conftest import Stack, open_stack

PATH, MINI, GROK = "/api/v1/images", "openai/gpt-image-1-mini", "x-ai/grok-imagine-image"
BODY: dict[str, Any] = {"model": MINI, "prompt": "A chart of the harbour"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    lab = Lab(time_scale=0.0, faults=False, strict=True)
    with open_stack(tmp_path_factory.mktemp("images"), lab) as opened:
        yield opened


@pytest.fixture(autouse=True)
def healthy(stack: Stack) -> Iterator[None]:
    yield
    stack.lab.modes.clear()


def ask(stack: Stack, path: str = PATH, **fields: Any) -> httpx2.Response:
    with stack.client as client:
        return client.post(path, json=BODY | fields)


@pytest.mark.parametrize("path", [PATH, "/api/v1/images/generations", "/v1/images/generations", "/v1/images"])
@pytest.mark.parametrize("stream", [False, True])
def test_images_come_as_base64(stack: Stack, path: str, stream: bool) -> None:
    found = ask(stack, path, n=2, stream=stream)
    assert found.status_code == 200, found.text
    images = [base64.b64decode(one["b64_json"]) for one in found.json()["data"]]
    assert images == [picture(f"{BODY['prompt']}/{place}") for place in range(2)]
    assert {one["media_type"] for one in found.json()["data"]} == {"image/png"}


def test_large_references_are_read() -> None:
    """A picture of 1 MB within the body is far more than the bound of a field that holds no content."""
    url = "data:image/png;base64," + base64.b64encode(bytes(1_000_000)).decode()
    written = BODY | {"input_references": [{"type": "image_url", "image_url": {"url": url}}]}
    asked = parse_images(read_fields(json.dumps(written).encode()))
    assert len(asked.references) == 1


def test_tokens_are_charged_by_kind(stack: Stack) -> None:
    found = ask(stack, quality="low")
    usage = found.json()["usage"]
    prompt = len(BODY["prompt"]) // 4
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (prompt, 272, prompt + 272)
    assert (usage["input_tokens"], usage["output_tokens"]) == (prompt, 272)
    row = stack.record(found.headers["x-generation-id"])
    assert row is not None and (row["task"], row["skin"]) == ("images", "images")
    assert [(c["meter"], c["quantity"], c["nano"]) for c in row["charges"]] == [
        ("prompt", prompt, prompt * 2000),
        ("completion", 272, 272 * 8000),
    ]
    assert usage["cost"] == pytest.approx((prompt * 2 + 272 * 8) / 1e6)


def test_images_are_charged_one_by_one(stack: Stack) -> None:
    found = ask(stack, model=GROK, n=3)
    row = stack.record(found.headers["x-generation-id"])
    assert row is not None
    assert [(c["meter"], c["quantity"], c["nano"]) for c in row["charges"]] == [("output_image", 3, 60_000_000)]
    assert found.json()["usage"]["cost"] == pytest.approx(0.06)
    with stack.client as client:
        shown = client.get("/api/v1/generation", params={"id": row["generation_id"]}).json()["data"]
    assert shown["api_type"] == "image"


@pytest.mark.parametrize(("limit", "status"), [(0.01, 404), (0.02, 200)])
def test_the_price_of_an_image_can_be_limited(stack: Stack, limit: float, status: int) -> None:
    assert ask(stack, model=GROK, provider={"max_price": {"image": limit}}).status_code == status


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": ""}, "prompt is missing or empty"),
        ({"prompt": ["a"]}, "prompt is wrong"),
        ({"n": 0}, "n is wrong"),
        ({"n": 11}, "n is wrong"),
        ({"size": "big"}, "size must be pixels such as '1024x1024'"),
        ({"size": "0x10"}, "size must be pixels"),
        ({"size": "1K", "resolution": "2K"}, "size is 1K, but resolution is 2K"),
        ({"size": "1024x1024", "resolution": "1K"}, "resolution cannot be sent beside a size in pixels"),
        ({"size": "1024x1024", "aspect_ratio": "16:9"}, "aspect_ratio is 16:9, which a size of 1024x1024"),
        ({"aspect_ratio": "5:1"}, "aspect_ratio must be one of"),
        ({"quality": "best"}, "quality is wrong"),
        ({"background": "red"}, "background is wrong"),
        ({"output_format": "bmp"}, "output_format is wrong"),
        ({"output_compression": 101}, "output_compression is wrong"),
        ({"seed": "a"}, "seed is wrong"),
        ({"response_format": "url"}, "response_format cannot be url"),
        ({"input_references": [{"type": "text", "text": "a"}]}, "input_references"),
        ({"model": "openai/gpt-5-mini"}, "openai/gpt-5-mini is a chat model"),
        ({"model": "openai/text-embedding-3-small"}, "openai/text-embedding-3-small is an embeddings model"),
        (
            {"input_references": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            "input_references cannot be sent to OpenAI",
        ),
    ],
)
def test_a_wrong_field_is_refused_with_its_name(stack: Stack, fields: dict[str, Any], sentence: str) -> None:
    calls = stack.lab.completed.total()
    found = ask(stack, **fields)
    assert found.status_code == 400
    assert found.json()["error"]["message"].startswith(sentence), found.json()["error"]["message"]
    assert stack.lab.completed.total() == calls


def test_the_providers_refusal_reaches_the_client(stack: Stack) -> None:
    found = ask(stack, background="transparent", output_format="jpeg")
    assert found.status_code == 400 and "Transparent background is not supported" in found.json()["error"]["message"]


def test_images_that_cannot_be_used_are_no_answer(stack: Stack) -> None:
    stack.lab.modes["openai"] = {"mode": "garble", "code": "missing_vector"}
    found = ask(stack)
    assert found.status_code == 502 and "one is not valid base64" in found.json()["error"]["message"]
    row = stack.record(found.headers["x-generation-id"])
    assert row is not None and row["cost_nano"] == 0


@pytest.mark.parametrize("body", [b"{", b"", b"null", b"[]", b'{"data": 1}', b'{"data": [{}, {}]}'])
def test_a_failure_to_read_images_names_images(body: bytes) -> None:
    with pytest.raises(ApiError) as failed:
        OpenAIImages().decode(body, ImagesRequest(prompt="a"))
    assert failed.value.error_type == "provider_unavailable"
    assert failed.value.message.startswith("The provider's images cannot be used: "), failed.value.message
    assert ("not valid JSON" in failed.value.message) == (body in (b"{", b""))


def encoded(model: str, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    asked = parse_images(read_fields(json.dumps({"prompt": "a"} | fields).encode()))
    found = OpenAIImages().encode(asked, next(e for e in load_catalogue().endpoints[model] if e.enabled))
    body = json.loads(found.request.body)
    return {name: value for name, value in body.items() if name not in ("model", "prompt", "n")}, found.dropped


@pytest.mark.parametrize(
    ("model", "fields", "sent", "dropped"),
    [
        (MINI, {}, {}, ()),
        (MINI, {"size": "auto"}, {}, ()),
        (MINI, {"size": "1024x1024"}, {"size": "1024x1024"}, ()),
        (MINI, {"aspect_ratio": "16:9"}, {"size": "1536x1024"}, ()),
        (MINI, {"aspect_ratio": "9:19.5"}, {"size": "1024x1536"}, ()),
        (MINI, {"aspect_ratio": "auto", "resolution": "1K"}, {}, ()),
        (MINI, {"size": "2K"}, {}, ("resolution",)),
        (MINI, {"seed": 1, "quality": "low"}, {"quality": "low"}, ("seed",)),
        (GROK, {}, {"response_format": "b64_json"}, ()),
        (GROK, {"size": "1920x1080"}, {"response_format": "b64_json", "aspect_ratio": "16:9"}, ()),
        (GROK, {"size": "2K"}, {"response_format": "b64_json", "resolution": "2k"}, ()),
        (GROK, {"resolution": "4K", "quality": "low"}, {"response_format": "b64_json"}, ("quality", "resolution")),
    ],
)
def test_fields_are_fitted_to_the_provider(
    model: str, fields: dict[str, Any], sent: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert encoded(model, **fields) == (sent, dropped)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data": []}',
        b'{"data": [{"url": "https://a.example/x.png"}]}',
        b'{"data": [{"b64_json": ""}]}',
        b'{"data": [{"b64_json": 7}]}',
        b'{"data": [{"b64_json": "AAAA"}, {"b64_json": "AAAA"}]}',
        b'{"data": [null]}',
    ],
)
def test_an_answer_without_images_is_a_typed_failure(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        OpenAIImages().decode(body, ImagesRequest(prompt="a"))
    assert refused.value.error_type in ("provider_unavailable",)


def test_image_models_are_listed_with_what_they_take_and_cost(stack: Stack) -> None:
    with stack.client as client:
        listed = {one["id"]: one for one in client.get("/api/v1/images/models").json()["data"]}
        mini = client.get(f"/api/v1/images/models/{MINI}/endpoints").json()
        grok = client.get(f"/api/v1/images/models/{GROK}/endpoints").json()
        missing = client.get("/api/v1/images/models/openai/gpt-5-mini/endpoints")
        chat = {one["id"] for one in client.get("/api/v1/models").json()["data"]}
        images = {one["id"] for one in client.get("/api/v1/models?output_modalities=image").json()["data"]}
    assert {MINI, GROK} <= set(listed) and {MINI, GROK} <= images and not set(listed) & chat
    assert listed[MINI]["endpoints"] == f"/api/v1/images/models/{MINI}/endpoints"
    assert listed[MINI]["supported_parameters"]["n"] == {"type": "range", "min": 1, "max": 10}
    assert mini["endpoints"][0]["pricing"] == [
        {"billable": "output_image", "unit": "token", "cost_usd": 8e-06},
        {"billable": "input_image", "unit": "token", "cost_usd": 2.5e-06},
        {"billable": "input_text", "unit": "token", "cost_usd": 2e-06},
    ]
    assert grok["endpoints"][0]["pricing"] == [{"billable": "output_image", "unit": "image", "cost_usd": 0.02}]
    assert missing.status_code == 404


def test_a_regional_host_lists_the_endpoints_of_its_region_alone(tmp_path: Path) -> None:
    with open_stack(tmp_path, regional_hosts={"eu.*": "eu"}) as stack:
        offer = stack.services.endpoints[MINI][0]
        placed = (msgspec.structs.replace(offer, region="eu"), msgspec.structs.replace(offer, tag="us", region="us"))
        stack.services.endpoints = {**stack.services.endpoints, MINI: placed}
        with stack.client as client:

            def tags(model: str, **headers: str) -> list[str]:
                found = client.get(f"/api/v1/images/models/{model}/endpoints", headers=headers)
                return [one["provider_tag"] for one in found.json().get("endpoints", [])]

            def listed(**headers: str) -> set[str]:
                found = client.get("/api/v1/images/models", headers=headers)
                return {one["id"] for one in found.json()["data"]}

            assert tags(MINI) == [offer.tag, "us"] and {MINI, GROK} <= listed()
            assert tags(MINI, host="eu.example.com") == [offer.tag] and listed(host="eu.example.com") == {MINI}
            # Nobody knows where this one processes.
            away = client.get(f"/api/v1/images/models/{GROK}/endpoints", headers={"host": "eu.example.com"})
    assert away.status_code == 404 and f"{GROK} is no image model here" in away.json()["error"]["message"]
