"""The pictures of the documentation: each is there, small, and beside the address that it was taken of."""

from __future__ import annotations

import pytest

from tests.dashboards.pictures import IMAGES, PICTURES, Picture
from tests.running import ROOT

MOST_BYTES = 150_000
# Taken of a past day, since errors do not rise each day, or of pages that the text shows without a question.
OTHERWISE = {"errors": "/errors", "providers": "", "compare": ""}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda one: one.name)
def test_a_picture_stands_beside_its_address(picture: Picture) -> None:
    text = (ROOT / "docs/dashboards.md").read_text() + (ROOT / "README.md").read_text()
    shown = f"images/{picture.name}.png)"
    assert shown in text
    assert 0 < (IMAGES / f"{picture.name}.png").stat().st_size <= MOST_BYTES
    address = "/" + picture.address.replace("%20", " ").format(request="gen-…", key="…")
    assert OTHERWISE.get(picture.name, address) in text[: text.index(shown)]
