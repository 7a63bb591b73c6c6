"""Declare the logged plan: the endpoints that could have served, and the arms that the draw is looked up in."""

from __future__ import annotations

from typing import Annotated

import msgspec

from data.record.columns import Column


class CandidateRow(msgspec.Struct):
    """Record one endpoint of a plan."""

    endpoint: Annotated[str, Column("Id of the endpoint")]
    probability: Annotated[float, Column("Probability of being tried first; 0 for an excluded endpoint")]
    score: Annotated[
        float | None,
        Column(
            "List price, three parts prompt to one part completion; the adjusted price under policy adjusted",
            "USD per million tokens",
        ),
    ]
    excluded_by: Annotated[str | None, Column("Code of the exclusion; null for an eligible endpoint")]


class ArmRow(msgspec.Struct):
    """Record one arm of the mixture that the draw selects from."""

    policy: Annotated[str, Column("Strategy of the arm")]
    version: Annotated[str, Column("Version of the strategy or of the learned policy")]
    weight: Annotated[float, Column("Share of all draws; the arms partition [0, 1) in this order")]
    cumulative: Annotated[
        list[float],
        Column("Upper edges of the candidates' intervals of [0, 1) within the arm, in their order; none for excluded"),
    ]
