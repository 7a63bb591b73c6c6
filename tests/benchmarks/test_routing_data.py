"""The routing benchmark reads whatever regions, days and models its data sets hold."""

from __future__ import annotations

from pathlib import Path

from benchmarks.routing import datasets, panel, rows

PANEL = "run_time,region,provider,model,model_raw,ttr,ttft,tps,num_tokens,total_time,commit\n"
ROWS = "provider,model,seq,error_code,error_msg,ttft_s,inter_token_latency_s\n"


def measured(day: int, region: str, model: str, providers: str) -> str:
    return "".join(
        f"2025-01-{day:02}T08:00:00.000001,{region},{name},{model},{model},0.1,{0.1 * place},9,9,1.0,c\n"
        for place, name in enumerate(providers, 1)
    )


def test_a_panel_is_all_files_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / panel.FOLDER
    folder.mkdir()
    assert datasets.files(folder) == []
    both = measured(2, "sea", "m", "abcd")
    (folder / "a.csv").write_text(PANEL + measured(3, "sea", "m", "abcd") + both + measured(1, "sea", "few", "abc"))
    (folder / "b.csv").write_text(PANEL + both + measured(2, "fra", "m", "ab"))
    rounds = panel.load(tmp_path)
    assert [(one.region, len(one.ttft_s)) for one in rounds] == [("fra", 2), ("sea", 4), ("sea", 4)]
    assert rounds[0].at_s == rounds[1].at_s == rounds[2].at_s - 86400
    assert rounds[1].ttft_s == {"a": 0.1, "b": 0.2, "c": 0.1 * 3, "d": 0.4}


def test_rows_are_those_of_every_model_with_providers_enough(tmp_path: Path) -> None:
    folder = tmp_path / rows.FOLDER
    folder.mkdir()
    (folder / "a.csv").write_text(ROWS + "".join(f"{name},big,0,,,0.5,0.1\n" for name in "abcd"))
    (folder / "b.csv").write_text(ROWS + "a,big,0,429,busy,0,\n" + "".join(f"{n},few,0,,,0.5,0.1\n" for n in "abc"))
    found = rows.load(tmp_path)
    assert list(found) == ["big"]
    assert sorted(found["big"]["a"]) == [0.5, rows.ERROR_S]
    assert found["big"]["d"].tolist() == [0.5]
