"""The pages that are made from code say what the code says; each dependency has its reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from data.record.documentation import record_page
from portolan.catalogue_report import coverage
from portolan.limits_page import limits_page

ROOT = Path(__file__).parents[1]


def test_the_records_page_is_current() -> None:
    page = (ROOT / "docs/record.md").read_text()
    assert page == record_page(), "run: python -m data.record.documentation > docs/record.md"


def test_the_page_of_limits_is_current() -> None:
    page = (ROOT / "docs/limits.md").read_text()
    assert page == limits_page(), "run: python -m portolan.limits_page > docs/limits.md"


def test_the_catalogues_coverage_is_what_the_command_prints() -> None:
    _version, *lines = coverage()
    block = "".join(f"    {line}\n" for line in lines)
    assert f"\n\n{block}\n" in (ROOT / "docs/catalogue.md").read_text(), f"docs/catalogue.md should have\n{block}"


def test_each_dependency_has_a_reason_and_a_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    wanted = [*project["project"]["dependencies"], *(line for extra in extras for line in extra)]
    wanted += project["dependency-groups"]["dev"]
    text = (ROOT / "docs/dependencies.md").read_text()
    listed = {name.strip() for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for name in row.split(",")}
    for line in wanted:
        name = re.split(r"[\[<>=!~]", line)[0]
        assert name in listed, f"{name} has no line in docs/dependencies.md"
        assert re.search(r">=|==", line), f"{name} has no lower bound"


def test_links_in_the_docs_lead_somewhere() -> None:
    for page_path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page_path.read_text()):
            if "://" not in link:
                assert (page_path.parent / link).exists(), f"{page_path.name} links to {link}"
