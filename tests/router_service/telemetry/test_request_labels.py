"""The router labels a sampled share of the requests and keeps the label alone."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from data.lake import Lake
from data.record.prompt_labels import PromptLabels
from lab.server import Lab, create_app
from models.categories import classify
from router_service.admission.keys import create_key, open_database
from router_service.app import create_app as create_router
from router_service.settings import Settings
from router_service.telemetry.categories import RequestLabeller
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, serving

PROMPT = "Write a Python function that sorts a list of dictionaries, and a unit test for the function."


def ask(tmp_path: Path, share: float) -> tuple[dict[str, object], Lake]:
    """The record of one request whose first provider hangs, so that there is time for a label."""
    lab = Lab(time_scale=0.0, faults=False, modes={"groq": {"mode": "hang"}})
    with serving(create_app(lab)) as lab_url:
        settings = Settings(data_dir=tmp_path, lab_url=lab_url, ttft_timeout=2.0, category_share=share)
        lake = Lake(tmp_path).create()
        key = create_key(open_database(lake.database), "test")
        router = create_router(settings)
        with serving(router) as url:
            router.container.services.categoriser.wait()
            body = {
                "model": "openai/gpt-oss-120b",
                "messages": [{"role": "user", "content": PROMPT}],
                "provider": {"order": ["groq", "deepinfra"]},
                "stream": True,
            }
            with Stack(url, lab, key, lake, router.container.services).client as client:
                answer = client.post("/api/v1/chat/completions", json=body)
    found = find_on_disk(lake, answer.headers["x-generation-id"])
    assert found is not None
    return found, lake


def test_a_sampled_request_gets_a_label_and_leaves_nothing_else(tmp_path: Path) -> None:
    found, lake = ask(tmp_path, 1.0)
    assert found["category"] == "programming"
    assert 0.5 < float(str(found["category_confidence"])) <= 1
    assert (found["natural_language"], found["programming_language"]) == ("en", "python")
    assert found["category_version"]
    words = b"sorts a list of dictionaries"
    assert not [path for path in lake.root.rglob("*") if path.is_file() and words in path.read_bytes()]


def test_others_stay_without_one(tmp_path: Path) -> None:
    found, _ = ask(tmp_path, 0.0)
    assert found["category"] is None
    assert found["category_confidence"] is None


class OwnClassifier:
    """Return or raise what a test sets."""

    result: object = None

    def label(self, text: str) -> PromptLabels:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result  # type: ignore[return-value]


@pytest.mark.parametrize(
    "result",
    [
        RuntimeError("no such model"),
        None,
        PromptLabels("legal", 1.5, "own"),
        PromptLabels("legal", float("nan"), "own"),
        PromptLabels("legal", "sure", "own"),  # type: ignore[arg-type]
        PromptLabels(7, 0.9, "own"),  # type: ignore[arg-type]
        PromptLabels("legal", 0.9, None),  # type: ignore[arg-type]
    ],
)
def test_what_an_operators_classifier_does_wrong_leaves_the_record_without_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: object
) -> None:
    own = EntryPoints([EntryPoint("own", f"{__name__}:OwnClassifier", "portolan.classifiers")])
    monkeypatch.setattr(classify, "entry_points", lambda **wanted: own.select(**wanted))
    # The first label is made when the classifier is loaded.
    monkeypatch.setattr(OwnClassifier, "result", PromptLabels("legal", 0.9, "own" * 99))
    labeller = RequestLabeller(1.0, Lake(tmp_path), "own")
    try:
        labeller.wait()
        messages = b'[{"role":"user","content":"May I?"}]'
        good = labeller.submit(messages)
        assert good is not None
        assert good.classified.result(30) == PromptLabels("legal", 0.9, ("own" * 99)[:64])
        monkeypatch.setattr(OwnClassifier, "result", result)
        bad = labeller.submit(messages)
        assert bad is not None
        assert bad.classified.result(30) is None
    finally:
        labeller.close()
