"""``portolan catalogue show`` prints the coverage of the catalogue, or one model."""

from __future__ import annotations

from typer.testing import CliRunner

from portolan.cli import app


def test_the_command_shows_the_coverage() -> None:
    shown = CliRunner().invoke(app, ["catalogue", "show", "--unplaced"])
    assert shown.exit_code == 0
    assert "unknown author" in shown.output
    assert "openai:text-embedding-3-large  not a chat model" in shown.output


def test_the_command_shows_a_model_by_any_of_its_names() -> None:
    shown = CliRunner().invoke(app, ["catalogue", "show", "deepseek/deepseek-v3.1"])
    assert shown.exit_code == 0
    assert shown.output.startswith("deepseek/deepseek-chat-v3.1: ")
    assert "off: aggregator" in shown.output


def test_an_unknown_model_is_an_error_that_names_close_ones() -> None:
    shown = CliRunner().invoke(app, ["catalogue", "show", "openai/gpt-5.44"])
    assert shown.exit_code == 2
    assert "openai/gpt-5.4" in shown.output
