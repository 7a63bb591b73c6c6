"""Every asset says whose it is, what it holds and from what; steps are tried again; marts have to be fresh."""

from __future__ import annotations

import errno
from pathlib import Path

import dagster as dg
import pytest

from data.lake import Lake
from data.record.lake_reader import LAKE_SCHEMA
from pipelines.build import Candidate
from pipelines.definitions import defs
from pipelines.defs.log import sealed_requests
from pipelines.defs.resources import LakeResource
from pipelines.defs.tables import marts
from pipelines.defs.training import GATES, evaluation_report
from pipelines.marts.catalogue import MARTS
from pipelines.marts.lineage import lineage
from tests.pipelines.test_marts import fill, records

pytestmark = pytest.mark.filterwarnings("ignore")


def test_every_asset_has_an_owner_a_description_a_group_and_retries() -> None:
    for node in defs.resolve_asset_graph().asset_nodes:
        spec = node.assets_def.get_asset_spec(node.key)
        assert spec.owners and spec.description and spec.group_name != "default", node.key
        policy = node.assets_def.op.retry_policy
        assert policy is not None and policy.backoff == dg.Backoff.EXPONENTIAL, node.key


def test_every_check_has_a_description() -> None:
    assert all(spec.description for spec in (*marts.check_specs, *evaluation_report.check_specs))


def test_every_mart_has_a_freshness_policy_and_describes_its_columns() -> None:
    specs = {spec.key.to_user_string(): spec for spec in marts.specs}
    for mart in MARTS:
        spec = specs[mart.name]
        assert spec.freshness_policy is not None
        schema = spec.metadata["dagster/column_schema"]
        assert [(column.name, column.type) for column in schema.columns] == list(mart.columns.items())
        assert all(column.description for column in schema.columns)


def test_the_lineage_of_each_mart_has_its_columns_and_names_those_of_the_record() -> None:
    for mart in MARTS:
        found = lineage(mart.sql)
        assert list(found) == list(mart.columns), mart.name
        assert frozenset().union(*found.values()) <= set(LAKE_SCHEMA.names)
        assert found["hour"] == {"started_at"}
    gains = lineage(next(mart for mart in MARTS if mart.name == "routing_hourly").sql)
    assert gains["exploration_nano"] == {"attempts", "candidates", "prompt_tokens", "completion_tokens"}
    assert gains["requests"] == set()
    throughput = lineage(next(mart for mart in MARTS if mart.name == "latency_hourly").sql)
    assert {"attempts", "ttft_us", "overhead_us"} <= throughput["bucket"]


def test_a_step_whose_disk_was_busy_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(Lake(tmp_path), records(3))
    begin, tries = Candidate.begin, []

    def busy_once(self: Candidate) -> object:
        tries.append(1)
        if len(tries) == 1:
            raise OSError(errno.EBUSY, "busy")
        return begin(self)

    monkeypatch.setattr(Candidate, "begin", busy_once)
    with dg.DagsterInstance.ephemeral() as instance:
        ran = dg.materialize(
            [sealed_requests], instance=instance, resources={"lake": LakeResource(data_dir=str(tmp_path))}
        )
    assert ran.success and len(tries) == 2


def test_a_gate_that_was_not_reached_is_skipped_and_not_passed(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ran = dg.materialize(
            [evaluation_report], instance=instance, resources={"lake": LakeResource(data_dir=str(tmp_path))}
        )
    assert ran.success and len(GATES) == 4
    assert ran.get_asset_check_evaluations() == []
