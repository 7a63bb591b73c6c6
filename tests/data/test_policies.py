"""Documents of the learned policies are read whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.lake import Lake
from data.policies import (
    AuditEntry,
    Canary,
    Lineage,
    PolicyState,
    ServingAssignment,
    append_audit,
    read_audit,
    read_report,
    read_serving,
    read_state,
    read_states,
    write_serving,
    write_state,
)

LINEAGE = Lineage(
    data_from="2026-11-01T00:00:00Z",
    data_until="2026-11-02T00:00:00Z",
    held_out_from="2026-11-01T18:00:00Z",
    decisions=100,
    code_version="1",
    libraries={},
    metrics={},
    sha256={},
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path).create()


def state(version: str) -> PolicyState:
    return PolicyState(version=version, state="candidate", since="now", reason="trained", lineage=LINEAGE)


def step(version: str) -> AuditEntry:
    return AuditEntry(at="now", who="test", what="register", version=version, why="trained")


def test_what_is_written_is_read(lake: Lake) -> None:
    assignment = ServingAssignment("v1", Canary("v2", 0.1, 7), "v3")
    write_serving(lake, assignment)
    assert read_serving(lake) == assignment
    assert assignment.versions() == ("v1", "v2", "v3")
    for version in ("v2", "v1"):
        write_state(lake, state(version))
    assert read_states(lake) == [state("v1"), state("v2")]
    assert read_report(lake, "v1") is None


@pytest.mark.parametrize("content", [b'{"champion": 7}', b"", b"{", b"\xff", b"[]"])
def test_a_damaged_document_assigns_no_version(lake: Lake, content: bytes) -> None:
    (lake.policies / "serving.json").write_bytes(content)
    assert read_serving(lake) == ServingAssignment()


@pytest.mark.parametrize("version", ["missing", "..", "", "a/../b", ".hidden", "serving.json"])
def test_a_name_that_is_no_version_has_no_state(lake: Lake, version: str) -> None:
    write_serving(lake, ServingAssignment())
    assert read_state(lake, version) is None


def test_a_torn_line_of_the_audit_is_skipped_and_ends_before_the_next(lake: Lake) -> None:
    append_audit(lake, step("v1"))
    path = lake.policies / "audit.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "no')
    append_audit(lake, step("v2"))
    assert read_audit(lake) == [step("v1"), step("v2")]
