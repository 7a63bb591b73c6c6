"""Imports of each format: exact records, each row once however often it is imported, rejected rows named."""

from __future__ import annotations

import csv
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data.lake import Lake
from data.marts import open_mart
from data.record import lake_files
from data.record.lake_reader import LAKE_SCHEMA
from models.selection.dataset import decision_log
from pipelines.build import build_mart
from pipelines.defs.compaction.compact import CompactionSettings, compact
from pipelines.imports import run
from pipelines.imports.formats import FORMATS
from pipelines.imports.run import ImportReport, import_file
from pipelines.imports.source_rows import ImportInvalid
from tests.pipelines.test_marts import fill, records
from tests.running import portolan

FIXTURES = Path(__file__).parents[2] / "fixtures/imports"
FILES = {
    "openrouter-activity": "openrouter_activity.csv",
    "openrouter-generation": "openrouter_generation.json",
    "litellm": "litellm_spend_logs.json",
    "jsonl": "usage.jsonl",
}


def rows_of(lake: Lake) -> dict[str, dict[str, Any]]:
    table = lake_files.read_all(lake, LAKE_SCHEMA.names)
    return {row["generation_id"]: row for row in table.to_pylist()}


def rejections(report: ImportReport) -> dict[int, str]:
    with report.rejects.open(newline="") as file:
        return {int(row["line"]): row["reason"] for row in csv.DictReader(file)}


def usage_lines(count: int) -> str:
    return "".join(
        json.dumps(
            {
                "id": f"id-{number}",
                "started_at": f"2026-03-{1 + number % 28:02d}T00:00:00Z",
                "model": "deepseek/deepseek-v3.2",
                "provider": "deepinfra",
                "prompt_tokens": number,
                "cost_usd": 0.001,
            }
        )
        + "\n"
        for number in range(count)
    )


def test_an_id_is_imported_once_though_exports_give_it_other_times(tmp_path: Path) -> None:
    lake, path = Lake(tmp_path), tmp_path / "usage.jsonl"
    path.write_text(usage_lines(50))
    assert import_file(lake, path, "jsonl", chunk_rows=7).imported == 50
    compact(lake, datetime.now(UTC) + timedelta(days=1), CompactionSettings(0, 0, 0))
    path.write_text(usage_lines(60).replace("2026-03", "2026-05"))
    again = import_file(lake, path, "jsonl", chunk_rows=7)
    assert (again.imported, again.duplicates) == (10, 50)
    assert sorted(rows_of(lake)) == sorted(f"id-{number}" for number in range(60))
    path.write_text((usage_lines(1) + usage_lines(1).replace("2026-03", "2026-05")).replace("id-0", "id-a"))
    once = import_file(lake, path, "jsonl", chunk_rows=1)
    assert (once.imported, once.duplicates) == (1, 1)


def test_a_request_that_this_router_has_logged_is_not_imported_at_another_time(tmp_path: Path) -> None:
    lake, path, (logged,) = Lake(tmp_path), tmp_path / "usage.jsonl", records(1)
    fill(lake, [logged])
    path.write_text(usage_lines(1).replace("id-0", logged.generation_id))
    report = import_file(lake, path, "jsonl")
    assert (report.imported, report.duplicates) == (0, 1)


def test_activity_of_openrouter(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    report = import_file(lake, FIXTURES / "openrouter_activity.csv", "openrouter-activity")
    assert (report.imported, report.duplicates, report.rejected) == (3, 0, 3)
    rows = rows_of(lake)
    first = rows["gen-1767225600-aaaaaaaaaaaaaaaaaaaa"]
    assert first["started_at"].isoformat() == "2026-01-01T00:00:00.125000+00:00"
    assert (first["source"], first["trains_selection"], first["worker"]) == ("openrouter-activity", False, "import")
    assert (first["model"], first["provider"], first["status"]) == ("openai/gpt-4o-mini", "openai", 200)
    assert (first["prompt_tokens"], first["completion_tokens"], first["cached_tokens"]) == (120, 80, 64)
    assert (first["cost_nano"], first["cost_fees_nano"]) == (420_000, 420_000)
    assert first["charges"] == [{"meter": "total", "quantity": 1, "nano": 420_000}]
    assert (first["duration_us"], first["ttft_us"]) == (1_840_000, 310_000)
    assert (first["app_title"], first["key_hash"], first["attempts"]) == ("Editor, the second", None, [])
    second = rows["gen-1767225661-bbbbbbbbbbbbbbbbbbbb"]
    assert (second["status"], second["cancelled"], second["provider"]) == (499, True, "amazon-bedrock")
    assert [(c["meter"], c["nano"]) for c in second["charges"]] == [("total", 8_500_000), ("web_search", 4_000_000)]
    third = rows["gen-1767312000-cccccccccccccccccccc"]
    assert (third["model"], third["provider"], third["error_type"]) == (
        "retired-author/retired-model", "a-new-host", "provider_unavailable",
    )  # fmt: skip
    assert report.unknown == {"model retired-author/retired-model": 1, "provider a-new-host": 1}
    assert rejections(report) == {
        6: "created_at must be a time such as 2026-11-17T05:00:00Z, not 'yesterday'",
        7: "tokens_prompt must be a whole number from 0 to 1000000000, not '-3'",
        8: "the row has 3 fields and the header has 23",
    }


def test_generations_of_openrouter(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    report = import_file(lake, FIXTURES / "openrouter_generation.json", "openrouter-generation")
    (row,) = rows_of(lake).values()
    assert (row["prompt_tokens"], row["completion_tokens"], row["reasoning_tokens"], row["cached_tokens"]) == (
        110, 64, 4, 30,
    )  # fmt: skip
    assert (row["app"], row["session_id"], row["ttft_us"]) == ("https://example.org/app", "session-{1}", 420_000)
    assert [(a["provider"], a["status"], a["error_type"], a["ttft_us"]) for a in row["attempts"]] == [
        ("groq", 429, "rate_limit_exceeded", None), ("deepinfra", 200, None, 420_000),
    ]  # fmt: skip
    assert rejections(report) == {39: "the model '7' names no author; give it one with --map NAME=author/slug"}


def test_spend_logs_of_litellm(tmp_path: Path) -> None:
    lake, path = Lake(tmp_path), FIXTURES / "litellm_spend_logs.json"
    report = import_file(lake, path, "litellm")
    rows = rows_of(lake)
    first = rows["chatcmpl-litellm-1"]
    assert (first["model"], first["requested_model"], first["provider"]) == ("openai/gpt-4o-mini", "fast", "openai")
    assert (first["stream"], first["ttft_us"], first["duration_us"]) == (True, 700_000, 2_500_000)
    assert (first["cached_tokens"], first["cost_nano"], first["key_hash"]) == (20, 315_000, None)
    assert (first["attempts"][0]["error_type"], first["attempts"][0]["ttft_us"]) == (None, 700_000)
    second = rows["litellm-2"]
    assert (second["model"], second["status"]) == ("anthropic/claude-sonnet-4", 429)
    assert second["attempts"][0]["error_type"] == "rate_limit_exceeded"
    assert list(rejections(report)) == [50]
    mapped = import_file(lake, path, "litellm", {"our-own-model": "acme/own-1"})
    assert (mapped.imported, mapped.duplicates, mapped.rejected) == (1, 2, 0)
    assert rows_of(lake)["litellm-3"]["model"] == "acme/own-1"


def test_own_lines_survive_a_truncated_one(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    report = import_file(lake, FIXTURES / "usage.jsonl", "jsonl")
    assert (report.imported, report.duplicates, report.rejected) == (2, 1, 2)
    rows = rows_of(lake)
    assert (rows["own-1"]["cost_nano"], rows["own-1"]["ttft_us"], rows["own-1"]["tools"]) == (2, 210_500, 2)
    assert rows["own-1"]["started_at"].isoformat() == "2026-01-05T07:00:00+00:00"
    assert (rows["own-3"]["status"], rows["own-3"]["error_type"]) == (503, "provider_overloaded")
    assert sorted(rejections(report)) == [2, 5]


@pytest.mark.parametrize("source", FORMATS)
def test_a_file_imported_twice_adds_nothing(source: str, tmp_path: Path) -> None:
    lake, path = Lake(tmp_path), FIXTURES / FILES[source]
    first = import_file(lake, path, source)
    before = rows_of(lake)
    again = import_file(lake, path, source)
    assert again.repeated
    assert (again.imported, again.rejected, rows_of(lake)) == (first.imported, first.rejected, before)
    # The same rows in a file of another content are found in the lake.
    other = tmp_path / f"other{path.suffix}"
    other.write_bytes(path.read_bytes() + b"\n\n")
    assert import_file(lake, other, source).imported == 0
    assert rows_of(lake) == before


def test_an_import_that_was_stopped_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop it after its third chunk was written in part, before the ledger knew of that chunk."""
    lake, path = Lake(tmp_path), tmp_path / "usage.jsonl"
    path.write_text(usage_lines(95) + "rubbish\n" + usage_lines(100).split("\n", 95)[95])
    real, calls = run._write, []

    def stops(*args: Any) -> int:
        calls.append(args)
        if len(calls) == 60:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(run, "_write", stops)
    with pytest.raises(KeyboardInterrupt):
        import_file(lake, path, "jsonl", chunk_rows=28)
    monkeypatch.undo()
    partly = len(rows_of(lake))
    assert 56 < partly < 84
    seen: list[str] = []
    report = import_file(lake, path, "jsonl", chunk_rows=28, progress=seen.append)
    assert len(seen) == 2
    assert len(rows_of(lake)) == 100
    assert report.imported + report.duplicates == 100
    assert list(rejections(report)) == [96]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    peaks = []
    for number, size in enumerate((1_000, 4_000)):
        path = tmp_path / f"usage-{number}.jsonl"
        lines = sorted(usage_lines(size).splitlines(), key=lambda line: str(json.loads(line)["started_at"]))
        path.write_text("\n".join(lines).replace('"id-', f'"{number}-'))
        tracemalloc.start()
        assert import_file(lake, path, "jsonl", chunk_rows=250).imported == size
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_imported_rows_count_in_the_mart_and_train_nothing_unless_asked(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(20))
    path = FIXTURES / "litellm_spend_logs.json"
    import_file(lake, path, "litellm")
    assert sum(decision_log.catch_up(lake).values()) == 20
    assert build_mart(lake).requests == 22
    with open_mart(lake) as mart:
        sql = "SELECT sum(requests), sum(cost_nano) FROM usage_hourly WHERE model = 'openai/gpt-4o-mini'"
        assert mart.execute(sql).fetchone() == (1, 315_000)
        sql = "SELECT sum(rate_limited) FROM uptime_hourly WHERE provider = 'anthropic'"
        assert mart.execute(sql).fetchone() == (1,)
    training = Lake(tmp_path / "training")
    import_file(training, path, "litellm", trains=True)
    assert sum(decision_log.catch_up(training).values()) == 2
    assert decision_log.read(training)["generation_id"].to_list() == ["chatcmpl-litellm-1", "litellm-2"]


def test_a_file_of_another_format_is_refused_with_a_sentence(tmp_path: Path) -> None:
    summed = tmp_path / "by_day.csv"
    summed.write_text("date,model,requests,usage\n2026-01-01,openai/gpt-4o-mini,5,0.1\n")
    with pytest.raises(ImportInvalid, match="export the single generations"):
        import_file(Lake(tmp_path), summed, "openrouter-activity")
    (tmp_path / "spend.csv").write_text("")
    with pytest.raises(ImportInvalid, match="it has: nothing"):
        import_file(Lake(tmp_path), tmp_path / "spend.csv", "litellm")


def test_the_command_names_rejected_rows_and_exits_with_1(tmp_path: Path) -> None:
    data = str(tmp_path / "var")
    done = portolan("import", str(FIXTURES / "usage.jsonl"), "--from", "jsonl", "--data-dir", data)
    assert done.returncode == 1
    assert "2 rows imported, 1 were in the lake already, 2 rejected" in done.stdout
    assert "line 2: the object is no JSON" in done.stderr
    wrong = portolan("import", str(FIXTURES / "usage.jsonl"), "--from", "jsonl", "--map", "a=b", "--data-dir", data)
    assert (wrong.returncode, "'a=b' is not NAME=author/slug" in wrong.stderr) == (2, True)
