"""Test that bodies which are costly to read are refused, or served without stopping the event loop for long."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.hostile_bodies import hostile_bodies
from tests.fuzz.loop_meter import AIM_MS, longest_block_ms, metered_router

SIZE = 3_000_000


def test_costly_bodies(tmp_path: Path) -> None:
    """Each has a response of its own; the longest block is printed, since a busy machine lengthens it."""
    longest, refused = (0.0, ""), 0
    with metered_router(tmp_path) as client:
        for name, path, body in hostile_bodies(SIZE):
            response, blocked_ms = longest_block_ms(client, path, body)
            longest = max(longest, (blocked_ms, name))
            assert response.status_code in (200, 400), (name, response.text)
            if response.status_code == 400:
                refused += 1
                message = response.json()["error"]["message"]
                assert len(message) > 20, (name, message)
    assert refused > 20
    assert "Traceback" not in (tmp_path / "output").read_text()
    print(f"event loop: longest block {longest[0]:.1f} ms ({longest[1]}); the aim is {AIM_MS:g} ms")
