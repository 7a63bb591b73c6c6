"""Compute the competitive edge: the price at which the market offers each speed."""

from __future__ import annotations

from collections.abc import Sequence


def edge_prices(prices: Sequence[float], speeds: Sequence[float]) -> list[float]:
    """Return the edge at each endpoint's own speed, never above its price.

    The edge is the lower convex hull of (speed, price) from the cheapest endpoint to the fastest. Below the speed of
    the cheapest endpoint it is that endpoint's price.
    """
    points = sorted(zip(speeds, prices, range(len(prices)), strict=True))
    corners = iter(_hull(points))
    s0, p0 = s1, p1 = next(corners)
    slope = 0.0
    edges = [0.0] * len(points)
    for speed, price, index in points:
        while speed > s1:
            s0, p0 = s1, p1
            s1, p1 = next(corners)
            slope = (p1 - p0) / (s1 - s0)
        edge = p0 + slope * (speed - s0) if speed > s0 else p0
        edges[index] = edge if edge < price else price
    return edges


def _hull(points: Sequence[tuple[float, float, int]]) -> list[tuple[float, float]]:
    """Return the corners by rising speed; ``points`` are sorted. The last corner has the highest speed."""
    cheapest = min([price for _, price, _ in points])
    hull: list[tuple[float, float]] = []
    for speed, price, _ in points:
        # The hull begins at the fastest of the cheapest endpoints.
        if price == cheapest:
            hull = [(speed, price)]
        elif hull and speed > hull[-1][0]:
            while len(hull) > 1 and _turns_down(hull[-2], hull[-1], speed, price):
                hull.pop()
            hull.append((speed, price))
    return hull


def _turns_down(a: tuple[float, float], b: tuple[float, float], speed: float, price: float) -> bool:
    """Return whether ``b`` lies on or above the line from ``a`` to the point."""
    return (b[1] - a[1]) * (speed - a[0]) >= (price - a[1]) * (b[0] - a[0])
