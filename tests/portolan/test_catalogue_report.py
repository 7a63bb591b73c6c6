"""``portolan catalogue`` prints the coverage of the catalogue, one model, or implausible prices."""

from __future__ import annotations

import msgspec
from typer.testing import CliRunner

from data.catalogue import Catalogue, Price, load_catalogue
from portolan.catalogue_report import price_report
from portolan.cli import app


def test_the_command_shows_the_coverage() -> None:
    shown = CliRunner().invoke(app, ["catalogue", "show", "--unplaced"])
    assert shown.exit_code == 0
    assert "unknown author" in shown.output
    assert "alibaba:qwen3-omni-flash-realtime  not a chat model" in shown.output


def test_the_command_shows_a_model_by_any_of_its_names() -> None:
    shown = CliRunner().invoke(app, ["catalogue", "show", "deepseek/deepseek-v3.1"])
    assert shown.exit_code == 0
    assert shown.output.startswith("deepseek/deepseek-chat-v3.1: ")
    assert "off: aggregator" in shown.output


def test_an_unknown_model_is_an_error_that_names_close_ones() -> None:
    shown = CliRunner().invoke(app, ["catalogue", "show", "openai/gpt-5.44"])
    assert shown.exit_code == 2
    assert "openai/gpt-5.4" in shown.output


def test_the_command_shows_what_long_prompts_cost() -> None:
    """The prices of a step follow those of short prompts."""
    shown = CliRunner().invoke(app, ["catalogue", "show", "google/gemini-2.5-pro"])
    assert "$1.25 in, $10 out per M; $2.5 in, $15 out above 200,000 tokens" in shown.output


def test_the_check_of_prices_lists_what_is_implausible() -> None:
    """The command succeeds as long as no request can be routed to such a price."""
    shown = CliRunner().invoke(app, ["catalogue", "check"])
    assert shown.exit_code == 0
    *findings, last = shown.output.splitlines()
    assert findings and all(line.endswith("(off)") for line in findings)
    assert last == f"{len(findings)} implausible prices, 0 of them routed to"


def test_the_check_of_prices_fails_for_an_endpoint_that_is_routed_to() -> None:
    """A wrong unit in a newer source is found before it bills anyone."""
    like = next(e for offers in load_catalogue().endpoints.values() for e in offers if e.id == "openai:gpt-4.1")
    wrong = msgspec.structs.replace(like, price=Price(2_000_000_000, 8_000_000))
    report = price_report(Catalogue("v", {}, {}, {like.model: (wrong,)}, {}))
    assert report.routed == 1
    assert report.lines[0] == "openai:gpt-4.1  completion costs far less than prompt"
