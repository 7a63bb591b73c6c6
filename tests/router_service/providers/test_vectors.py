"""Test that vectors of providers are read in both encodings, and that unusable ones are typed failures."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.providers.vectors import MAX_DIMENSIONS, in_order, read_vector

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def pack(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@given(st.lists(FLOAT32, min_size=1, max_size=20))
def test_both_encodings_say_the_same(numbers: list[float]) -> None:
    assert read_vector(numbers, 0).tolist() == read_vector(pack(*numbers), 0).tolist() == numbers


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=12,
    )
)
def test_anything_else_is_a_typed_failure(found: Any) -> None:
    try:
        vector = read_vector(found, 0)
    except ApiError as error:
        assert error.error_type == "provider_unavailable"
    else:
        assert np.isfinite(vector).all() and len(vector)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([], "has 0 numbers"),
        ("", "has 0 numbers"),
        ([0.0] * (MAX_DIMENSIONS + 1), "has 65537 numbers"),
        ("AAA", "not valid base64"),
        ("AAAA", "does not consist of 32-bit floats"),
        (pack(float("nan")), "not finite"),
        (pack(1.0, float("-inf")), "not finite"),
        ([1e300], "not finite"),
        ([1.0, None], "neither"),
        ([1.0, "2"], "neither"),
        ([[1.0]], "neither"),
        ([1.0, [2.0]], "neither"),
        ([10**30], "neither"),
        (None, "neither"),
    ],
)
def test_what_is_wrong_is_said(found: Any, problem: str) -> None:
    with pytest.raises(ApiError, match=problem):
        read_vector(found, 3)


def place(*rows: tuple[Any, list[float]], dimensions: int | None = None, inputs: int = 2) -> list[list[float]]:
    asked = EmbeddingsRequest(inputs=["text"] * inputs, dimensions=dimensions)
    found = in_order([(index, np.array(vector)) for index, vector in rows], asked)
    return [vector.tolist() for vector in found.vectors]


def test_vectors_are_put_in_the_order_of_their_inputs() -> None:
    assert place((1, [2.0]), (0, [1.0])) == place((None, [1.0]), (None, [2.0])) == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("rows", "dimensions", "problem"),
    [
        ([(0, [1.0])], None, "2 inputs have 1 vectors"),
        ([(0, [1.0]), (1, [1.0]), (2, [1.0])], None, "2 inputs have 3 vectors"),
        ([(0, [1.0]), (0, [1.0])], None, "wrong or repeated indices"),
        ([(0, [1.0]), (2, [1.0])], None, "wrong or repeated indices"),
        ([(0, [1.0]), (-1, [1.0])], None, "wrong or repeated indices"),
        ([(0, [1.0]), ("1", [1.0])], None, "wrong or repeated indices"),
        ([(False, [1.0]), (1, [1.0])], None, "wrong or repeated indices"),
        ([(0, [1.0]), (1, [1.0, 2.0])], None, "different lengths"),
        ([(0, [1.0]), (1, [1.0])], 2, "2 dimensions were asked for, and 1 came"),
    ],
)
def test_vectors_that_do_not_answer_the_request_are_refused(
    rows: list[Any], dimensions: int | None, problem: str
) -> None:
    with pytest.raises(ApiError, match=problem):
        place(*rows, dimensions=dimensions)
