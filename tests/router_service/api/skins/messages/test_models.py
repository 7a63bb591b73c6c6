"""Names of models as Anthropic's clients write them."""

from __future__ import annotations

import pytest

from data.catalogue.load import load_catalogue
from data.catalogue.types import Catalogue, Endpoint, Model
from router_service.api.skins.messages.models import resolve_vendor_id


def made_up() -> Catalogue:
    """Return two models: one sold under a name of its own, and one whose name another author uses too."""
    models = {
        name: Model(name, name.partition("/")[0], name, 0, 1000, ("text",), ("text",))
        for name in ("acme/sonnet-9", "acme/shared", "other/shared")
    }
    endpoints: dict[str, tuple[Endpoint, ...]] = {
        name: (
            Endpoint(
                f"p:{upstream}",
                "p",
                "p",
                "P",
                name,
                upstream,
                "anthropic_messages",
                None,
                (),
                None,
                context_length=1000,
            ),
        )
        for name, upstream in (
            ("acme/sonnet-9", "vendor-sonnet-9-v2"),
            ("acme/shared", "shared"),
            ("other/shared", "shared"),
        )
    }
    return Catalogue("v", models, {}, endpoints, {"~acme/sonnet-latest": "acme/sonnet-9"})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("acme/sonnet-9", "acme/sonnet-9"),
        ("sonnet-9", "acme/sonnet-9"),
        ("Sonnet-9-20991231", "acme/sonnet-9"),
        ("acme/sonnet-9-20991231", "acme/sonnet-9"),
        ("sonnet-9-latest", "acme/sonnet-9"),
        ("sonnet-latest", "acme/sonnet-9"),
        ("acme/sonnet-latest", "acme/sonnet-9"),
        ("vendor-sonnet-9-v2", "acme/sonnet-9"),
        (" sonnet-9-20991231[1m]", "acme/sonnet-9"),
        ("sonnet-9-20991231:nitro", "acme/sonnet-9:nitro"),
        ("shared", None),
        ("other/shared", "other/shared"),
        ("unknown", None),
        ("unknown:nitro", None),
        ("", None),
    ],
)
def test_a_name_resolves_by_the_catalogue(name: str, wanted: str | None) -> None:
    assert resolve_vendor_id(name, made_up()) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("claude-3-5-haiku-latest", "anthropic/claude-3.5-haiku"),
        ("claude-opus-4-1", "anthropic/claude-opus-4.1"),
        ("anthropic/claude-haiku-4.5", "anthropic/claude-haiku-4.5"),
    ],
)
def test_names_of_the_real_catalogue(name: str, wanted: str) -> None:
    assert resolve_vendor_id(name, load_catalogue()) == wanted
