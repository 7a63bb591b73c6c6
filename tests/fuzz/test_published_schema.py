"""Test the running router against the OpenAPI document that it publishes, by schemathesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.market import faulty_market, good

SEED = 20261130
EXAMPLES = 15
BOX_S = 300
# A schema does not say which models exist, which fields exclude each other and what a text must be, so that our 400 for
# such a body is no failure. All other checks hold: statuses, types and bodies of responses, refused methods, keys.
EXCLUDED = "positive_data_acceptance"


@pytest.mark.slow
def test_responses_are_those_of_the_document(tmp_path: Path) -> None:
    with faulty_market(tmp_path, {"ok": good}) as market:
        options = ("--max-examples", str(EXAMPLES), "--seed", str(SEED), "--max-time", str(BOX_S), "--no-color")
        options += ("--continue-on-failure", "--request-timeout", "60", "--exclude-checks", EXCLUDED)
        key = ("--header", f"Authorization: Bearer {market.key}")
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{market.url}/openapi.json"]
        found = subprocess.run(
            [*command, *key, *options], cwd=tmp_path, capture_output=True, text=True, timeout=4 * BOX_S
        )
        assert found.returncode == 0, found.stdout[-20_000:] + found.stderr[-2000:]
        assert "Traceback" not in market.running.output
        print(found.stdout[found.stdout.find("SUMMARY") :])
