"""Test that requests without a known key which leave no record are counted."""

from __future__ import annotations

from router_service.admission.refusals import RECORDED_BURST, KeyRefusals
from tests.conftest import Stack


def test_refusals_without_a_record_are_a_metric(stack: Stack) -> None:
    stack.services.refusals = KeyRefusals(lambda: 0.0)
    with stack.client as client:
        for _ in range(int(RECORDED_BURST) + 3):
            found = client.post("/api/v1/chat/completions", json={}, headers={"authorization": "Bearer sk-or-v1-none"})
            assert found.status_code == 401
        assert "refusals_unrecorded_total 3.0" in client.get("/metrics").text
