"""Test that the wire format is a property of an endpoint, in the catalogue and in the file."""

from __future__ import annotations

from pathlib import Path

from data.catalogue import load_catalogue
from router_service.providers.credentials import Account, AccountAddress
from tests.router_service.configuration.test_market import market_of, sold


def test_models_that_are_served_through_responses_first() -> None:
    """Codex, pro and deep research models have the format, and their service tiers too; the others do not."""
    found = {e.id: e.wire_format for offers in load_catalogue().endpoints.values() for e in offers}
    first = ("gpt-5-codex", "gpt-5-codex@priority", "gpt-5.3-codex-spark", "o3-pro", "gpt-5-pro", "o3-deep-research")
    assert {found[f"openai:{model}"] for model in first} == {"openai_responses"}
    assert {found[f"openai:{model}"] for model in ("gpt-5", "gpt-4.1", "o3", "gpt-5.1-chat-latest")} == {"openai_chat"}
    assert found["azure:gpt-5.2-codex"] == found["xai:grok-4.20-multi-agent-0309"] == "openai_responses"
    assert found["xai:grok-4.3"] == found["azure:gpt-5.1"] == "openai_chat"


def test_an_endpoint_of_the_file_names_its_format(tmp_path: Path) -> None:
    """One provider may serve models in two formats; each has the account at its address."""
    text = """
[providers.gpu]
base_url = "http://gpu/v1"
key = "secret"

[[endpoints]]
provider = "gpu"
model = "openai/gpt-oss-120b"
upstream_model = "oss"
wire_format = "openai_responses"
dialect = "openai"

[[endpoints]]
provider = "gpu"
model = "openai/gpt-oss-20b"
upstream_model = "small"
"""
    market = market_of(tmp_path, text)
    assert {e.upstream_model: e.wire_format for e in sold(market, "gpu")} == {
        "oss": "openai_responses",
        "small": "openai_chat",
    }
    for wire_format in ("openai_responses", "openai_chat"):
        assert market.accounts[AccountAddress("gpu", "http://gpu/v1", wire_format)] == Account(("secret",))


def test_a_provider_of_the_file_names_the_format_of_all(tmp_path: Path) -> None:
    """The address of Azure, which the catalogue does not know, makes its endpoints of both formats callable."""
    azure = '[providers.azure]\nbase_url = "https://mine.openai.azure.com/openai/v1"\nkey = "secret"\n'
    found = {e.upstream_model: e.wire_format for e in sold(market_of(tmp_path, azure), "azure")}
    assert found["gpt-5.2-codex"] == "openai_responses" and found["gpt-4.1"] == "openai_chat"
    everything = market_of(tmp_path, azure + 'wire_format = "openai_responses"\n')
    assert {e.wire_format for e in sold(everything, "azure")} == {"openai_responses"}
