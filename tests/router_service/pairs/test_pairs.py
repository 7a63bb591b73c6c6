"""Test that every client API works in front of every wire format, and that the page says how."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from router_service.providers.formats import FORMATS
from tests.router_service.pairs.pair_matrix import PAIRS, PairMatrix, opened_matrix
from tests.router_service.pairs.pair_rows import ROWS
from tests.running import ROOT

PAGE = ROOT / "docs" / "api-pairs.md"
CELL = re.compile(r"yes|(?:emulated|partly|unsupported) \((\d+)\)")


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairMatrix]:
    with opened_matrix(tmp_path_factory.mktemp("pairs")) as opened:
        yield opened


def test_every_format_that_serves_chat_has_its_columns() -> None:
    assert {wire_format for _, wire_format in PAIRS} == FORMATS.keys()


@pytest.mark.parametrize("pair", PAIRS, ids=" to ".join)
@pytest.mark.parametrize("row", ROWS)
def test_a_pair_does_what_it_says(matrix: PairMatrix, row: str, pair: tuple[str, str]) -> None:
    found = matrix.cell(row, *pair)
    assert (found.state == "yes") == (found.explanation == "")


def test_the_page_is_current(matrix: PairMatrix) -> None:
    assert PAGE.read_text(encoding="utf-8") == matrix.page(), (
        "run: python -m tests.router_service.pairs.pair_matrix > docs/api-pairs.md"
    )


def test_the_page_has_every_cell_and_every_sentence() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    sentences = {found[1] for line in lines if (found := re.match(r"(\d+)\. \S.+[.”]$", line))}
    first = next(number for number, line in enumerate(lines) if line.startswith("| |"))
    rows = [line.strip("| ").split(" | ") for line in lines[first + 2 : first + 2 + len(ROWS)]]
    assert [cells[0] for cells in rows] == list(ROWS)
    used = set()
    for cells in rows:
        assert len(cells) == 1 + len(PAIRS)
        for cell in cells[1:]:
            found = CELL.fullmatch(cell)
            assert found, cell
            used |= {found[1]} - {None}
    assert used == sentences
