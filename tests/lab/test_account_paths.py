"""Test that the lab checks addresses, headers and versions as Azure and Cloudflare do, with vendors' own clients."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.lab.scenes import HTTP

HI: Any = [{"role": "user", "content": "Hi"}]
ACCOUNT = "0123456789abcdef0123456789abcdef"
BEARER = {"authorization": "Bearer key"}
VERSION = "2024-10-21"


def azure(url: str, **more: Any) -> openai.AzureOpenAI:
    """Return the client of the ``openai`` package for deployments."""
    options: dict[str, Any] = {"api_key": "key", "api_version": VERSION, "max_retries": 0} | more
    return openai.AzureOpenAI(azure_endpoint=f"{url}/azure", **options)


def test_azures_client_calls_deployments(quiet_lab_url: str) -> None:
    """The deployment in the path decides about the model, whatever its name in the body."""
    with azure(quiet_lab_url) as client:
        said = client.chat.completions.create(model="my-gpt-4.1", messages=HI)
        assert said.model == "gpt-4.1" and said.choices[0].message.content
        assert said.model_extra and said.model_extra["prompt_filter_results"]
        vectors = client.embeddings.create(model="text-embedding-3-small", input="Hi", dimensions=4)
        assert len(vectors.data[0].embedding) == 4
        assert client.images.generate(model="my-gpt-image-1", prompt="A harbour").data
        assert client.responses.create(model="gpt-5-codex", input="Hi").output_text


def test_a_stream_of_azure_begins_with_a_chunk_without_choices(quiet_lab_url: str) -> None:
    """Its other fields are empty; each choice after it has the results of the filter."""
    with azure(quiet_lab_url) as client:
        first, *rest = client.chat.completions.create(model="gpt-4.1", messages=HI, stream=True)
    assert (first.id, first.model, first.choices) == ("", "", [])
    assert first.model_extra and first.model_extra["prompt_filter_results"]
    assert all(
        choice.model_extra and choice.model_extra["content_filter_results"] for c in rest for choice in c.choices
    )


def test_the_v1_address_takes_openais_client_and_bearer_tokens(quiet_lab_url: str) -> None:
    """Claude is beside it in its own format."""
    with openai.OpenAI(base_url=f"{quiet_lab_url}/azure/openai/v1", api_key="token", max_retries=0) as client:
        assert client.chat.completions.create(model="my-kimi-k2.6", messages=HI).choices[0].message.content
        assert client.responses.create(model="gpt-5.2-codex", input="Hi").output_text
    foundry = anthropic.AnthropicFoundry(base_url=f"{quiet_lab_url}/azure/anthropic", api_key="key", max_retries=0)
    with foundry as claude:
        assert claude.messages.create(model="my-claude-sonnet-4-5", max_tokens=64, messages=HI).content
        with pytest.raises(anthropic.NotFoundError, match="DeploymentNotFound"):
            claude.messages.create(model="claude-none", max_tokens=64, messages=HI)


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("openai/v1/chat/completions", {}, 401, "401"),
        ("openai/v1/chat/completions", {"x-api-key": "key"}, 401, "401"),
        ("anthropic/v1/messages", {"api-key": ""}, 401, "401"),
        (f"openai/deployments/gpt-4.1/chat/completions?api-version={VERSION}", {}, 401, "401"),
        ("openai/deployments/gpt-4.1/chat/completions", {"api-key": "key"}, 404, "404"),
        ("openai/deployments/gpt-4.1/chat/completions?api-version=v9", {"api-key": "key"}, 404, "404"),
        ("openai/v1/chat/completions?api-version=2024-10-21", {"api-key": "key"}, 404, "404"),
        (f"openai/gpt-4.1/chat/completions?api-version={VERSION}", {"api-key": "key"}, 404, "404"),
        (f"openai/deployments/none/chat/completions?api-version={VERSION}", BEARER, 404, "DeploymentNotFound"),
        ("models/chat/completions", {"api-key": "key"}, 404, "404"),
    ],
)
def test_azure_refuses_in_its_words(
    quiet_lab_url: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    """The body has code and message alone."""
    refused = HTTP.post(f"{quiet_lab_url}/azure/{path}", json={"model": "gpt-4.1", "messages": HI}, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert set(refused.json()["error"]) == {"code", "message"}


def cloudflare(url: str, path: str, **more: Any) -> httpx2.Response:
    """Send a request to Workers AI."""
    sent: dict[str, Any] = {"json": {"model": "@cf/openai/gpt-oss-120b", "messages": HI}, "headers": BEARER} | more
    return HTTP.post(f"{url}/cloudflare-workers-ai/{path}", **sent)


@pytest.mark.parametrize(
    "path",
    [f"client/v4/accounts/{ACCOUNT}/ai/v1/chat/completions", f"v1/{ACCOUNT}/gate/workers-ai/v1/chat/completions"],
)
def test_workers_ai_answers_at_account_and_gateway(quiet_lab_url: str, path: str) -> None:
    assert cloudflare(quiet_lab_url, path).json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("account", "more", "status", "code", "words"),
    [
        ("$%7BACCOUNT%7D", {}, 404, 7003, "Could not route to /client/v4/accounts/"),
        (ACCOUNT, {"headers": {"api-key": "key"}}, 401, 10000, "Authentication error"),
        (ACCOUNT, {"json": {"model": "@cf/none", "messages": HI}}, 400, 5007, "No such model @cf/none or task"),
        (ACCOUNT, {"content": b"{", "json": None}, 400, 5006, "AiError: Bad input: "),
    ],
)
def test_cloudflare_refuses_in_its_envelope(
    quiet_lab_url: str, account: str, more: dict[str, Any], status: int, code: int, words: str
) -> None:
    """Every refusal has the same four fields."""
    refused = cloudflare(quiet_lab_url, f"client/v4/accounts/{account}/ai/v1/chat/completions", **more)
    said = refused.json()
    assert (refused.status_code, said["success"], said["result"], said["messages"]) == (status, False, None, [])
    assert said["errors"][0]["code"] == code and words in said["errors"][0]["message"]
