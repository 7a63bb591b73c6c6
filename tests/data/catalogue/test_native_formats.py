"""Test which wire format the models of a provider with a format of its own are called in."""

from __future__ import annotations

from data.catalogue import load_catalogue
from data.catalogue.types import Endpoint


def offers(provider: str) -> list[Endpoint]:
    """Return the endpoints of a provider."""
    return [e for found in load_catalogue().endpoints.values() for e in found if e.provider == provider]


def test_google_is_called_natively() -> None:
    """Every chat model of Google AI Studio is called by generateContent, and those with a price can be routed to."""
    found = [endpoint for endpoint in offers("google") if endpoint.task == "chat"]
    assert {(e.wire_format, e.base_url) for e in found} == {
        ("gemini", "https://generativelanguage.googleapis.com/v1beta")
    }
    assert {e.disabled_reason for e in found} <= {None, "no_price"}
    assert any(e.enabled and e.upstream_model == "gemini-2.5-pro" for e in found)


def test_vertex_needs_an_address_for_gemini_and_a_protocol_for_the_others() -> None:
    """The address of Vertex AI contains a project; its models of other authors have protocols that nobody speaks."""
    for endpoint in offers("google-vertex"):
        native = endpoint.upstream_model.startswith("gemini")
        assert endpoint.wire_format == ("gemini" if native else "openai_chat")
        assert endpoint.disabled_reason == ("account_address" if native else "unsupported_protocol")
        assert endpoint.key_env == () and not endpoint.enabled
