"""Test that a variable that nothing reads is an error with a suggestion."""

from __future__ import annotations

import re

import pytest

from router_service.configuration.environment import check_variables
from router_service.configuration.mistakes import ConfigurationError
from router_service.configuration.read_file import settings_of_process
from router_service.settings import Settings
from tests.running import ROOT


def test_known_variables_pass() -> None:
    known = [f"PORTOLAN_{name.upper()}" for name in Settings.model_fields]
    others = ["PORTOLAN_LAB_SPEED", "PORTOLAN_API_KEY", "portolan_strategy", "HOME", "OPENAI_API_KEY"]
    injected = ["PORTOLAN_SERVICE_HOST", "PORTOLAN_PORT", "PORTOLAN_PORT_8080_TCP_ADDR", "PORTOLAN_SERVICE_PORT_HTTP"]
    check_variables([*known, *others, *injected])


def test_every_variable_of_the_code_and_of_the_documentation_is_known() -> None:
    """A variable that the pipelines read is exported where the router runs, too."""
    folders = ("portolan", "router_service", "pipelines", "dashboards", "lab", "models", "data", "docs")
    texts = [path for folder in folders for path in (ROOT / folder).rglob("*.*") if path.suffix in (".py", ".md")]
    names = {name for path in texts for name in re.findall(r"PORTOLAN_[A-Z0-9_]*[A-Z0-9]", path.read_text())}
    assert "PORTOLAN_LAKE_DAYS" in names
    check_variables(names)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("PORTOLAN_TTFT_TIMOUT", "the variable PORTOLAN_TTFT_TIMOUT is unknown. Did you mean PORTOLAN_TTFT_TIMEOUT?"),
        ("PORTOLAN_PROVIDER_URL", "Did you mean PORTOLAN_PROVIDER_URLS?"),
        ("portolan_stratgy", "Did you mean PORTOLAN_STRATEGY?"),
        ("PORTOLAN_QQQQQQQ", "docs/configuration.md lists all settings"),
    ],
)
def test_another_is_refused_with_a_suggestion(name: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_variables(["PATH", name])
    assert says in refused.value.lines[0]


def test_the_router_does_not_start_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_LEARNED_SHAR", "1")
    with pytest.raises(ConfigurationError, match="PORTOLAN_LEARNED_SHARE"):
        settings_of_process()
