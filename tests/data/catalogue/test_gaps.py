"""Test that all that cannot be routed to is listed, with its reasons and what an operator can do."""

from __future__ import annotations

import msgspec
from typer.testing import CliRunner

from data.catalogue import load_catalogue
from data.catalogue.gaps import REMEDIES, model_gaps, provider_gaps
from portolan.cli import app

CATALOGUE = load_catalogue()
LIVE = [e for offers in CATALOGUE.endpoints.values() for e in offers if e.enabled]


def test_enough_can_be_routed_to_without_a_reseller() -> None:
    """A key, and an account where the address needs one, are all that is missing."""
    assert len({e.model for e in LIVE}) >= 400
    assert len({e.provider for e in LIVE}) >= 60
    assert not any(CATALOGUE.providers[e.provider].aggregator for e in LIVE)


def test_models_that_can_be_routed_to_and_gaps_are_all_models() -> None:
    """No model is in both lists, or in none."""
    gaps = {gap.name for gap in model_gaps(CATALOGUE)}
    routable = {e.model for e in LIVE}
    assert gaps | routable == set(CATALOGUE.models)
    assert not gaps & routable


def test_providers_that_can_be_routed_to_and_gaps_are_all_providers() -> None:
    gaps = {gap.name for gap in provider_gaps(CATALOGUE)}
    routable = {e.provider for e in LIVE}
    assert gaps | routable == set(CATALOGUE.providers)
    assert not gaps & routable


def test_every_gap_has_each_reason_of_its_endpoints() -> None:
    """Each reason has a remedy; those of a model name all of its providers."""
    for gap in model_gaps(CATALOGUE):
        found = {(e.disabled_reason, e.provider) for e in CATALOGUE.endpoints.get(gap.name, ())}
        listed = {(reason, provider) for reason, providers in gap.reasons for provider in providers}
        assert listed == found
        assert gap.reasons and {reason for reason, _ in gap.reasons} <= set(REMEDIES)


def test_a_model_without_an_endpoint_is_a_gap() -> None:
    lonely = msgspec.structs.replace(CATALOGUE, endpoints={})
    assert {gap.reasons for gap in model_gaps(lonely)} == {(("no_endpoint", ()),)}


def test_the_command_lists_every_gap() -> None:
    """Each has a line of its own, below a line with its reason and the remedy."""
    shown = CliRunner().invoke(app, ["catalogue", "show"])
    assert shown.exit_code == 0
    words = {line.split("  ")[0].strip() for line in shown.output.replace("       ", "").splitlines()}
    assert {gap.name for gap in (*model_gaps(CATALOGUE), *provider_gaps(CATALOGUE))} <= words
    for reason in {gap.reasons[0][0] for gap in model_gaps(CATALOGUE)}:
        assert f"{reason}: {REMEDIES[reason]}" in shown.output


def test_the_command_shows_a_provider() -> None:
    """Its addresses, variables, what it does with disconnects with the source, and what is off."""
    shown = CliRunner().invoke(app, ["catalogue", "show", "azure"])
    assert shown.exit_code == 0
    assert "https://{account}.openai.azure.com/openai/v1" in shown.output
    assert "AZURE_RESOURCE_NAME" in shown.output and "AZURE_API_KEY" in shown.output
    assert "it stops, and bills what it has written (https://openrouter.ai/docs" in shown.output
    assert "3 off: unsupported_protocol" in shown.output
    unknown = CliRunner().invoke(app, ["catalogue", "show", "zai"])
    assert "caller disconnects not known" in unknown.output
