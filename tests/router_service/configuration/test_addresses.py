"""Test addresses that contain something of the operator's account, from the file and from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint
from portolan.config_report import remarks
from router_service.configuration.market import Market, make_market
from router_service.configuration.mistakes import ConfigurationError
from router_service.configuration.read_file import Configuration, read_configuration
from router_service.providers.credentials import Account, AccountAddress
from router_service.settings import Settings

VARIABLES = (
    "AZURE_RESOURCE_NAME", "AZURE_API_KEY", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_GATEWAY_ID", "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_API_TOKEN", "MY_HOST",
)  # fmt: skip
AZURE = "[providers.azure]\nkey = 'secret'\n"
CLOUDFLARE = "[providers.cloudflare-workers-ai]\nkey = 'secret'\n"


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the accounts of the machine that runs the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def read(folder: Path, text: str) -> Configuration:
    """Return the configuration of a file with ``text``."""
    path = folder / "portolan.toml"
    path.write_text(text)
    return read_configuration(path, load_catalogue())


def market_of(folder: Path, text: str, **settings: object) -> Market:
    """Return the market under a file with ``text``."""
    return make_market(load_catalogue(), read(folder, text), Settings(data_dir=folder, **settings))  # type: ignore[arg-type]


def called(market: Market, provider: str) -> dict[str, Endpoint]:
    """Return the endpoints of ``provider`` that can be called, by their models there."""
    return {e.upstream_model: e for offers in market.endpoints.values() for e in offers if e.provider == provider}


def test_each_model_of_azure_has_its_address(tmp_path: Path) -> None:
    """Models of OpenAI are at one host, those of others at another, and Claude has a format of its own."""
    market = market_of(tmp_path, AZURE + "account = 'mine'\n")
    found = called(market, "azure")
    at = {
        "gpt-4.1": ("openai_chat", "https://mine.openai.azure.com/openai/v1"),
        "text-embedding-3-small": ("openai_chat", "https://mine.openai.azure.com/openai/v1"),
        "gpt-5.2-codex": ("openai_responses", "https://mine.openai.azure.com/openai/v1"),
        "kimi-k2.6": ("openai_chat", "https://mine.services.ai.azure.com/openai/v1"),
        "claude-sonnet-4-5": ("anthropic_messages", "https://mine.services.ai.azure.com/anthropic/v1"),
    }
    assert {name: (found[name].wire_format, found[name].base_url) for name in at} == at
    assert "cohere-embed-v-4-0" not in found
    assert not any("{" in str(e.base_url) for e in found.values())


def test_the_key_goes_into_azures_header(tmp_path: Path) -> None:
    """Claude takes ``x-api-key``, and a token of Entra ID is a bearer token in every format."""
    for more, chat, claude in (
        ("", {"api-key": "secret"}, {"x-api-key": "secret"}),
        ("key_header = 'Authorization'\n", *[{"authorization": "Bearer secret"}] * 2),
    ):
        market = market_of(tmp_path, AZURE + "account = 'mine'\n" + more)
        for name, wanted in (("gpt-4.1", chat), ("gpt-5.2-codex", chat), ("claude-sonnet-4-5", claude)):
            endpoint = called(market, "azure")[name]
            account = market.accounts[AccountAddress("azure", endpoint.base_url, endpoint.wire_format)]
            assert account.key_header("secret", endpoint.wire_format) == wanted


def test_a_version_of_the_api_chooses_the_addresses_of_deployments(tmp_path: Path) -> None:
    """Responses have no deployment in their address, and other companies' models have no versions."""
    text = (
        AZURE
        + "account = 'mine'\napi_version = '2024-10-21'\ndeployments = { 'gpt-4.1' = 'prod', 'gpt-5-codex' = 'c' }\n"
    )
    found = called(market_of(tmp_path, text), "azure")
    host = "https://mine.openai.azure.com/openai"
    assert {name: (e.base_url, e.sent_model) for name, e in found.items()} == {
        "gpt-4.1": (f"{host}/deployments/prod?api-version=2024-10-21", "prod"),
        "gpt-5-codex": (f"{host}?api-version=2024-10-21", "c"),
    }


def test_deployments_may_be_a_list_and_leave_the_others_off(tmp_path: Path) -> None:
    """An endpoint that keeps its name at the account has no other one, and keeps its price."""
    market = market_of(tmp_path, AZURE + "account = 'mine'\ndeployments = ['gpt-4.1', 'kimi-k2.6']\n")
    found = called(market, "azure")
    assert sorted(found) == ["gpt-4.1", "kimi-k2.6"]
    assert {e.deployment for e in found.values()} == {None}
    packaged = {e.id: e for offers in load_catalogue().endpoints.values() for e in offers}
    assert all(packaged[e.id].price == e.price for e in found.values())
    off = [e for e in market.catalogue.endpoints["openai/gpt-4o"] if e.provider == "azure"]
    assert [e.disabled_reason for e in off] == ["not_deployed"]


def test_the_account_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file too; the file wins over the environment."""
    monkeypatch.setenv("AZURE_RESOURCE_NAME", "theirs")
    monkeypatch.setenv("AZURE_API_KEY", "secret")
    made = make_market(load_catalogue(), Configuration(), Settings(data_dir=tmp_path))
    assert called(made, "azure")["gpt-4.1"].base_url == "https://theirs.openai.azure.com/openai/v1"
    market = market_of(tmp_path, AZURE + "account = 'mine'\n")
    assert called(market, "azure")["gpt-4.1"].base_url == "https://mine.openai.azure.com/openai/v1"


@pytest.mark.parametrize(
    ("text", "variables", "line"),
    [
        (
            AZURE,
            {},
            ":1: AZURE_RESOURCE_NAME is not set in this environment, so that azure has no address and is not called; "
            "write account in its table, or set the variable",
        ),
        (
            AZURE,
            {"AZURE_RESOURCE_NAME": "a.evil.example/x?"},
            ":1: AZURE_RESOURCE_NAME cannot be a part of an address, so that azure has no address and is not called; "
            "write account in its table, or set the variable",
        ),
        (
            "[providers.mine]\nkey = 'secret'\nbase_url = 'https://${MY_HOST}/v1'\n",
            {},
            ":3: MY_HOST is not set in this environment, so that mine has no address and is not called",
        ),
        (
            "[providers.mine]\nkey = 'secret'\nbase_url = 'https://gpu/{account}/v1'\n",
            {},
            ":3: mine needs account, which is a part of its address; without it the provider is not called",
        ),
        (
            "[aliases]\nfast = 'openai/gpt-oss-120b'\n",
            {"CLOUDFLARE_API_KEY": "secret"},
            ": CLOUDFLARE_ACCOUNT_ID is not set in this environment, so that cloudflare-workers-ai has no address and "
            "is not called; write account in its table, or set the variable",
        ),
    ],
)
def test_what_is_missing_is_explained_and_the_provider_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, variables: dict[str, str], line: str
) -> None:
    """The remark has the line of the table, or of the address."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    configuration = read(tmp_path, text)
    said = [one for one in remarks(configuration, load_catalogue()) if "the file holds a key" not in one]
    assert said == [f"{configuration.path}{line}"]
    market = make_market(load_catalogue(), configuration, Settings(data_dir=tmp_path))
    assert not any(called(market, slug) for slug in ("azure", "mine", "cloudflare-workers-ai"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[providers.azure]\naccount = 'a.b/c'\n", r":2:11: providers.azure.account must have letters, digits"),
        ("[providers.azure]\ngateway = 'g'\n", r":2:1: providers.azure.gateway is no part of this provider's address"),
        ("[providers.groq]\napi_version = 'v'\n", r":2:1: providers.groq.api_version is no part of this"),
        ("[providers.azure]\ndeployments = ['gpt-4.11']\n", r"gpt-4.11 is no model of azure. Did you mean gpt-4.1\?"),
        (
            "[providers.azure]\nkey_header = 'content-length'\n",
            r"key_header: the header 'content-length' cannot be set",
        ),
        ("[providers.mine]\nbase_url = 'https://x/{region}'\n", r"must not have \{region\}; known are \{account\}"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, words: str) -> None:
    """Each has its place in the file."""
    with pytest.raises(ConfigurationError, match=words):
        read(tmp_path, text)


def test_cloudflare_has_an_account_and_may_have_a_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway of the file alone is used: a variable for it says nothing of Workers AI."""
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "a1")
    monkeypatch.setenv("CLOUDFLARE_GATEWAY_ID", "unused")
    model = "@cf/openai/gpt-oss-120b"
    for more, address in (
        ("", "https://api.cloudflare.com/client/v4/accounts/a1/ai/v1"),
        ("account = 'a2'\n", "https://api.cloudflare.com/client/v4/accounts/a2/ai/v1"),
        ("gateway = 'g'\n", "https://gateway.ai.cloudflare.com/v1/a1/g/workers-ai/v1"),
    ):
        market = market_of(tmp_path, CLOUDFLARE + more)
        assert called(market, "cloudflare-workers-ai")[model].base_url == address
        assert market.accounts[AccountAddress("cloudflare-workers-ai", address, "openai_chat")] == Account(("secret",))


def test_cloudflares_gateway_is_an_aggregator_with_a_header_of_its_own(tmp_path: Path) -> None:
    """It is called where the file says that aggregators are."""
    text = "[providers.cloudflare-ai-gateway]\nkey = 'secret'\naccount = 'a'\ngateway = 'g'\n"
    assert not called(market_of(tmp_path, text), "cloudflare-ai-gateway")
    market = market_of(tmp_path, text, allow_aggregators=True)
    found = called(market, "cloudflare-ai-gateway")
    assert found and {e.base_url for e in found.values()} == {"https://gateway.ai.cloudflare.com/v1/a/g/compat"}
    account = market.accounts[
        AccountAddress("cloudflare-ai-gateway", next(iter(found.values())).base_url, "openai_chat")
    ]
    assert account.key_header("secret", "openai_chat") == {"cf-aig-authorization": "Bearer secret"}


def test_an_address_of_the_file_may_have_variables_and_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable may hold the whole beginning of an address; an address for one format is none for another."""
    monkeypatch.setenv("MY_HOST", "https://gpu.example")
    own = (
        "[[endpoints]]\nprovider = 'mine'\nmodel = 'openai/gpt-4.1'\nupstream_model = 'gpt-4.1'\ndeployment = 'prod'\n"
    )
    text = "[providers.mine]\nbase_url = '${MY_HOST}/d/{deployment}'\napi_version = 'v9'\n"
    found = called(market_of(tmp_path, text + own), "mine")
    assert [(e.base_url, e.sent_model) for e in found.values()] == [
        ("https://gpu.example/d/prod?api-version=v9", "prod")
    ]
    fixed = called(market_of(tmp_path, AZURE + "base_url = 'https://apim.example/openai/v1'\n"), "azure")
    assert {e.base_url for e in fixed.values()} == {"https://apim.example/openai/v1"}
    assert "gpt-4.1" in fixed and "claude-sonnet-4-5" not in fixed


def test_an_own_endpoint_of_azure_has_the_address_of_its_model(tmp_path: Path) -> None:
    """Images have no rows in the catalogue; Claude is called in its own format there too."""
    rows = "".join(
        f"[[endpoints]]\nprovider = 'azure'\nmodel = '{model}'\nupstream_model = '{name}'\ndeployment = 'mine'\n"
        for model, name in (("openai/gpt-image-1", "gpt-image-1"), ("anthropic/claude-opus-4.7", "claude-opus-4-7"))
    )
    found = called(market_of(tmp_path, rows + AZURE + "account = 'a'\n"), "azure")
    assert (found["gpt-image-1"].base_url, found["gpt-image-1"].task) == (
        "https://a.openai.azure.com/openai/v1",
        "images",
    )
    claude = found["claude-opus-4-7"]
    assert (claude.wire_format, claude.sent_model) == ("anthropic_messages", "mine")
    assert claude.base_url == "https://a.services.ai.azure.com/anthropic/v1"


def test_the_lab_is_called_at_paths_of_the_providers_form(tmp_path: Path) -> None:
    """An account is needed there too: without one the provider is off."""
    lab = {"lab_url": "http://127.0.0.1:9"}
    assert not called(make_market(load_catalogue(), Configuration(), Settings(data_dir=tmp_path, **lab)), "azure")  # type: ignore[arg-type]
    found = called(market_of(tmp_path, AZURE + "account = 'lab'\n", **lab), "azure")
    assert found["gpt-4.1"].base_url == "http://127.0.0.1:9/azure/openai/v1"
    text = (
        AZURE
        + "account = 'm'\napi_version = '2024-10-21'\ndeployments = { 'gpt-4.1' = 'prod' }\n"
        + CLOUDFLARE
        + "account = 'a1'\n"
    )
    market = market_of(tmp_path, text, **lab)
    path = "openai/deployments/prod?api-version=2024-10-21"
    assert called(market, "azure")["gpt-4.1"].base_url == f"http://127.0.0.1:9/azure/{path}"
    workers = called(market, "cloudflare-workers-ai")["@cf/openai/gpt-oss-120b"]
    assert workers.base_url == "http://127.0.0.1:9/cloudflare-workers-ai/client/v4/accounts/a1/ai/v1"
