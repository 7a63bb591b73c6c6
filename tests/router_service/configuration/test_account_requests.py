"""Test that requests reach providers whose addresses contain an account, with path, version and header of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from data.catalogue import load_catalogue
from lab.server import Lab, create_app
from portolan.provider_test import run as provider_test
from router_service.configuration.live import LiveConfiguration
from router_service.settings import Settings
from tests.conftest import Stack, open_stack, serving

ACCOUNT = "0123456789abcdef0123456789abcdef"
FILES = {
    "v1": "",
    "versioned": 'api_version = "2024-10-21"\n',
}
AZURE = """
[providers.azure]
account = "mine"
deployments = { "gpt-4.1" = "my-gpt-4.1", "gpt-5-codex" = "my-gpt-5-codex", "gpt-4o" = "gone", \
"text-embedding-3-small" = "my-text-embedding-3-small", "claude-sonnet-4-5" = "my-claude-sonnet-4-5", \
"kimi-k2.6" = "kimi-k2.6" }
"""
IMAGES = """
[[endpoints]]
provider = "azure"
model = "openai/gpt-image-1"
upstream_model = "gpt-image-1"
deployment = "my-gpt-image-1"
price = { prompt = 5, completion = 40 }
"""
WORKERS = f'\n[providers.cloudflare-workers-ai]\naccount = "{ACCOUNT}"\n'


@pytest.fixture(scope="module", params=FILES)
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a router whose Azure has deployments, at either form of address."""
    folder = tmp_path_factory.mktemp("accounts")
    (folder / "portolan.toml").write_text(IMAGES + AZURE + FILES[request.param] + WORKERS)
    with open_stack(folder, config=folder / "portolan.toml") as opened:
        yield opened


def post(stack: Stack, path: str, body: dict[str, Any], provider: str = "azure") -> httpx2.Response:
    """Send a request that only ``provider`` may serve."""
    headers = {"authorization": f"Bearer {stack.key}"}
    sent = {"provider": {"only": [provider]}} | body
    return httpx2.post(f"{stack.url}/v1/{path}", json=sent, headers=headers, timeout=60)


def chat(model: str, **more: Any) -> dict[str, Any]:
    """Return a request for chat."""
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}]} | more


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("model", "upstream"),
    [
        ("openai/gpt-4.1", "gpt-4.1"),
        ("openai/gpt-5-codex", "gpt-5-codex"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("moonshotai/kimi-k2.6", "kimi-k2.6"),
    ],
)
def test_chat_reaches_azure_in_every_format(market: Stack, model: str, upstream: str, stream: bool) -> None:
    """The lab answers at the right path, version, header and deployment alone."""
    before = market.lab.calls[f"azure:{upstream}"]
    answer = post(market, "chat/completions", chat(model, stream=stream))
    assert answer.status_code == 200, answer.text
    assert '"provider":"Azure"' in answer.text and '"finish_reason":"stop"' in answer.text
    assert market.lab.calls[f"azure:{upstream}"] == before + 1


def test_embeddings_and_images_reach_their_deployments(market: Stack) -> None:
    """Images are an endpoint of the file."""
    vectors = post(market, "embeddings", {"model": "openai/text-embedding-3-small", "input": "Hi"})
    assert vectors.status_code == 200 and vectors.json()["data"], vectors.text
    drawn = post(market, "images", {"model": "openai/gpt-image-1", "prompt": "A harbour"})
    assert drawn.status_code == 200 and drawn.json()["data"], drawn.text


def test_a_deployment_that_is_gone_leaves_the_request_to_the_next_provider(market: Stack) -> None:
    """It is no fault of the client; alone it is the provider's failure, with its sentence."""
    alone = post(market, "chat/completions", chat("openai/gpt-4o"))
    assert alone.status_code == 502 and "The API deployment for this resource does not exist" in alone.text
    order = {"provider": {"order": ["azure", "openai"], "allow_fallbacks": True}}
    answer = post(market, "chat/completions", chat("openai/gpt-4o", **order))
    assert answer.status_code == 200 and '"provider":"OpenAI"' in answer.text


def test_workers_ai_answers_and_its_errors_are_typed(market: Stack) -> None:
    """The list of errors has its sentence and its code."""
    model = "openai/gpt-oss-120b"
    answer = post(market, "chat/completions", chat(model), "cloudflare")
    assert answer.status_code == 200 and '"provider":"Cloudflare Workers AI"' in answer.text, answer.text
    market.lab.modes["cloudflare-workers-ai"] = {"mode": "rate_limit"}
    try:
        limited = post(market, "chat/completions", chat(model), "cloudflare")
    finally:
        del market.lab.modes["cloudflare-workers-ai"]
    assert limited.status_code == 429 and "planted 429" in limited.text and "3040" in limited.text


def test_a_missing_account_leaves_the_others_on(tmp_path: Path) -> None:
    """The lab needs none; a real provider without one is not called, and its models are served elsewhere."""
    (tmp_path / "portolan.toml").write_text(
        '[providers.azure]\nkey = "k"\nbase_url = "https://${NOT_SET_ANYWHERE}/v1"\n'
    )
    with open_stack(tmp_path, config=tmp_path / "portolan.toml") as stack:
        alone = post(stack, "chat/completions", chat("openai/gpt-4.1"))
        assert alone.status_code in (400, 404) and "azure" in alone.text
        assert post(stack, "chat/completions", chat("openai/gpt-4.1"), "openai").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        'base_url = "URL/azure/openai/v1"',
        'base_url = "URL/azure/openai/deployments/{deployment}"\napi_version = "2024-10-21"',
    ],
)
async def test_the_operator_can_test_azure(tmp_path: Path, address: str) -> None:
    """Models, a completion, a stream and a tool call work, with the key in Azure's header."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as url:
        (tmp_path / "portolan.toml").write_text(f"[providers.azure]\nkey = 'k'\n{address.replace('URL', url)}\n")
        live = LiveConfiguration(Settings(data_dir=tmp_path, config=tmp_path / "portolan.toml"), load_catalogue())
        said: list[str] = []
        assert await provider_test(live, "azure", "gpt-4.1", 60.0, said.append), said
    assert all("works" in line for line in said if not line.startswith("endpoint")), said
    assert live.has_accounts()


def test_a_key_without_an_account_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts the router with nothing else gets the lab."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN", "_KEY", "_RESOURCE_NAME")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_API_KEY", "k")
    assert not LiveConfiguration(Settings(data_dir=tmp_path), load_catalogue()).has_accounts()
    monkeypatch.setenv("AZURE_RESOURCE_NAME", "mine")
    assert LiveConfiguration(Settings(data_dir=tmp_path), load_catalogue()).has_accounts()
