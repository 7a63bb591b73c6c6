"""A model labels a share of the prompts through the router's own API, within a budget, and never its own requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.record.encoding import record_row
from data.record.prompt_labels import PromptLabels
from lab.server import Lab, create_app
from models.categories.by_model import MAX_CHARACTERS, UNKNOWN, prompt_version, read_answer, request_body
from models.categories.taxonomy import CATEGORIES, TAGS
from router_service.admission.keys import create_key, hash_key, open_database
from router_service.app import create_app as create_router
from router_service.core.caller import Caller
from router_service.core.labelling import Labelling, ModelLabelling
from router_service.core.outcome import Outcome
from router_service.core.preferences import Preferences
from router_service.planning.constraints import NO_CONSTRAINTS, Constraint, ConstraintSet
from router_service.settings import Settings
from router_service.telemetry.categories import RequestLabeller
from router_service.telemetry.frames import read_frames
from router_service.telemetry.model_labeller import APP, APP_TITLE, DailySpend
from router_service.telemetry.record import ready_labels
from router_service.telemetry.sealing import recover
from tests.conftest import Stack, open_stack, serving
from tests.running import free_port, until

MODEL = "openai/gpt-oss-20b"
# Of an answer that fits the schema, the lab chooses the first category, tag and confidence.
FIRST = (CATEGORIES[0], 1.0, f"{MODEL}@{prompt_version()}", TAGS[0], 1.0, "en")
PROMPT = "Which clause of this contract says that the tenant must repair the roof, and is it valid?"
MESSAGES = json.dumps([{"role": "user", "content": PROMPT}]).encode()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A router whose market gives JSON to those who ask for it. It labels nothing itself."""
    lab = Lab(time_scale=0.0, faults=False, unmarked="comply")
    with open_stack(tmp_path_factory.mktemp("labelling"), lab, category_share=0.0) as opened:
        yield opened


@pytest.fixture
def lab(router: Stack) -> Iterator[Lab]:
    """The market, as it was before when the test has ended."""
    yield router.lab
    router.lab.modes.clear()
    router.lab.unmarked = "comply"


Labels = Future[PromptLabels | None]
Label = Callable[..., PromptLabels]


@pytest.fixture
def label(router: Stack) -> Label:
    """Return a function that labels the prompt with a labeller that begins anew, as after a restart."""

    def labels(key: str | None = None, constraints: ConstraintSet = NO_CONSTRAINTS, **changes: Any) -> PromptLabels:
        provider = changes.pop("provider", b"")
        url = f"{router.url}/api/v1"
        asked = ModelLabelling(MODEL, key or router.new_key(), url, 1.0, 1.0, 100.0, 60.0)._replace(**changes)
        labeller = RequestLabeller(1.0, router.lake, asked=asked)
        try:
            labeller.wait()
            labelling = labeller.submit(MESSAGES, Caller("a client's", constraints), provider)
            assert labelling is not None
            assert labelling.asked is not None
            found = labelling.asked.result(120)
            assert found is not None
            return found
        finally:
            labeller.close()

    return labels


def requests_of(lake: Lake, key: str) -> list[dict[str, Any]]:
    """The records of a key's requests in the log, once there is one."""

    def rows() -> list[dict[str, Any]]:
        segments = [*lake.log.glob("*.open"), *lake.log.glob("*.wal")]
        payloads = [payload for path in segments for payload in read_frames(path.read_bytes()).payloads]
        return [row for row in map(record_row, payloads) if row["key_hash"] == hash_key(key)]

    until(lambda: bool(rows()), "the requests are in the log")
    return rows()


def test_a_model_labels_and_its_request_is_known_by_its_app(router: Stack, lab: Lab, label: Label) -> None:
    key = router.new_key()
    found = label(key)
    assert (*found[:6],) == FIRST
    (row,) = requests_of(router.lake, key)
    assert (row["app"], row["app_title"]) == (APP, APP_TITLE)
    assert (row["status"], row["structured_output"], row["model"]) == (200, "json_schema", MODEL)
    assert row["cost_nano"] > 0
    assert lab.refused.total() == 0


def test_an_answer_that_is_no_label_is_unknown(lab: Lab, label: Label) -> None:
    lab.unmarked = "text"
    found = label()
    assert found[:5] == (None, None, f"{MODEL}@{prompt_version()}", None, None)
    assert found.natural_language == "en"


def test_a_budget_that_is_used_up_outlasts_a_restart(router: Stack, lab: Lab, label: Label) -> None:
    key = router.new_key()
    assert label(key).version.startswith(MODEL)
    calls = lab.calls.total()
    # The cost of the first request is all that may be spent, and a later process reads it from the log.
    (row,) = requests_of(router.lake, key)
    found = label(key, usd_per_day=row["cost_nano"] / 1e9)
    assert (found.category, found.version.endswith("+budget")) == ("legal", True)
    assert lab.calls.total() == calls
    assert label(key, usd_per_day=2 * row["cost_nano"] / 1e9).version.startswith(MODEL)


def test_a_model_that_is_silent_leaves_the_classifiers_labels(lab: Lab, label: Label) -> None:
    lab.modes["*"] = {"mode": "hang"}
    found = label(timeout=0.2)
    assert (found.category, found.version.endswith("+timeout")) == ("legal", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "sk-or-v1-unknown"},
        {"model": "no/such-model"},
        {"url": "http://127.0.0.1:1/api/v1"},
        {"provider": b'{"only":["no-such-provider"]}'},
    ],
)
def test_a_refused_request_leaves_the_classifiers_labels(label: Label, changes: dict[str, Any]) -> None:
    found = label(**changes)
    assert (found.category, found.version.endswith("+failed")) == ("legal", True)


def test_a_request_that_is_refused_for_its_preferences_is_not_sent(lab: Lab, label: Label) -> None:
    calls = lab.calls.total()
    assert "+" not in label(provider=b'{"only":7}').version
    assert lab.calls.total() == calls


@pytest.mark.parametrize(
    ("provider", "rule", "reached"),
    [
        (b'{"only":["groq"]}', Preferences(), "groq"),
        (b'{"order":["groq"],"allow_fallbacks":false}', Preferences(), "groq"),
        (b"null", Preferences(region="xx"), None),
        (b"", Preferences(data_collection="deny", region="us"), ...),
    ],
)
def test_the_prompt_goes_only_where_its_request_might(
    router: Stack, lab: Lab, label: Label, provider: bytes, rule: Preferences, reached: object
) -> None:
    """The rules of the labelled request and its key hold for the labelling request, however it is answered."""
    key = router.new_key()
    label(key, ConstraintSet(Constraint("This key", rule)), provider=provider)
    (row,) = requests_of(router.lake, key)
    if reached is not ...:
        assert row["provider"] == reached
    assert row["data_region"] == rule.region


def test_the_router_labels_its_requests_but_not_those_of_the_labelling(tmp_path: Path) -> None:
    """The provider of the labelled request hangs until its labels are there; then its client leaves."""
    lake, port = Lake(tmp_path).create(), free_port()
    lab = Lab(time_scale=0.0, faults=False, unmarked="comply", modes={"groq:openai/gpt-oss-120b": {"mode": "hang"}})
    keys = open_database(lake.database)
    own, client_key = create_key(keys, "labelling"), create_key(keys, "client")
    with serving(create_app(lab)) as lab_url:
        settings = Settings(
            data_dir=tmp_path, lab_url=lab_url, category_share=1.0, category_model=MODEL, category_model_key=own,
            category_model_url=f"http://127.0.0.1:{port}/api/v1", category_model_share=1.0,
        )  # fmt: skip
        router = create_router(settings)
        with serving(router, port) as url:
            services = router.container.services
            services.categoriser.wait()
            stack = Stack(url, lab, client_key, lake, services)
            message = {"role": "user", "content": PROMPT}
            with stack.send(
                {"model": "openai/gpt-oss-120b", "messages": [message], "provider": {"order": ["groq"]}, "stream": True}
            ):
                until(lambda: [one.done() for one in services.categoriser._asking] == [True], "the labels are there")
            (found,), (labelling,) = requests_of(lake, client_key), requests_of(lake, own)
    assert (found["category"], found["category_version"]) == (FIRST[0], FIRST[2])
    assert (labelling["app"], labelling["category_version"], labelling["natural_language"]) == (APP, None, None)
    assert lab.calls.total() == 2
    words = PROMPT.encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and words in path.read_bytes()]


def test_an_answer_that_comes_after_the_response_is_not_waited_for() -> None:
    """The record has the labels of the classifier, and says that a model was asked."""
    labels, classified, asked = PromptLabels("legal", 0.9, "v1"), Labels(), Labels()
    outcome = Outcome(labelling=Labelling(classified, asked))
    assert ready_labels(outcome) is None
    classified.set_result(labels)
    assert ready_labels(outcome) == labels._replace(version="v1+late")
    asked.set_result(labels._replace(version="m@1"))
    assert ready_labels(outcome) == labels._replace(version="m@1")
    assert ready_labels(Outcome(labelling=Labelling(classified))) == labels


def test_what_becomes_of_the_labels_after_the_response_is_in_its_record(tmp_path: Path) -> None:
    """The response ends while the model that labels is silent; the record in the lake says that it timed out."""
    lake, port = Lake(tmp_path).create(), free_port()
    served = "groq:openai/gpt-oss-120b"
    lab = Lab(time_scale=0.0, faults=False, modes={"*": {"mode": "hang"}, served: {"mode": "ok"}})
    own = create_key(open_database(lake.database), "labelling")
    with serving(create_app(lab)) as lab_url:
        settings = Settings(
            data_dir=tmp_path, lab_url=lab_url, category_share=1.0, category_model=MODEL, category_model_key=own,
            category_model_url=f"http://127.0.0.1:{port}/api/v1", category_model_share=1.0, category_model_timeout=0.5,
        )  # fmt: skip
        router = create_router(settings)
        with serving(router, port) as url:
            services = router.container.services
            services.categoriser.wait()
            stack = Stack(url, lab, create_key(open_database(lake.database), "client"), lake, services)
            body = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": PROMPT}]}
            with stack.client as client:
                answer = client.post("/api/v1/chat/completions", json=body | {"provider": {"only": ["groq"]}})
            assert answer.status_code == 200
            (row,) = requests_of(lake, stack.key)
            assert row["category_version"] is None or row["category_version"].endswith("+late")
            until(lambda: all(one.done() for one in services.categoriser._asking), "the model has had its time")
    recover(lake)
    rows = pq.read_table(lake.requests, filters=[("key_hash", "=", hash_key(stack.key))]).to_pylist()
    assert [(row["category"], row["category_version"][-8:]) for row in rows] == [("legal", "+timeout")]


def test_the_spend_of_a_day_never_falls_within_it() -> None:
    """The log is read now and then; what it has not yet got still counts, and a day begins with what the log has."""
    logged, day, now = [100, 90, 500, 7], [date(2026, 11, 30)], [0.0]
    spend = DailySpend(lambda _day: logged.pop(0), lambda: day[0], lambda: now[0])
    assert spend.nano() == 100
    spend.add(30)
    assert spend.nano() == 130
    now[0] = 60.0
    assert spend.nano() == 130
    now[0] = 120.0
    assert spend.nano() == 500
    day[0] = date(2026, 12, 1)
    assert spend.nano() == 7


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({}, ("legal", 0.8, "qa_knowledge", 0.6)),
        ({"category_confidence": "0.4"}, (None, 0.4, "qa_knowledge", 0.6)),
        ({"task_tag_confidence": "0.0"}, ("legal", 0.8, None, 0.0)),
        ({"category": "none"}, (None, None, "qa_knowledge", 0.6)),
        ({"category": "Legal"}, UNKNOWN),
        ({"task_tag": "legal"}, UNKNOWN),
        ({"category_confidence": "2.0"}, UNKNOWN),
        ({"category_confidence": 0.8}, UNKNOWN),
        ({"category": None}, UNKNOWN),
    ],
)
def test_an_answer_is_read_by_the_taxonomy(changes: dict[str, Any], labels: tuple[object, ...]) -> None:
    answer = {
        "category": "legal",
        "category_confidence": "0.8",
        "task_tag": "qa_knowledge",
        "task_tag_confidence": "0.6",
    }
    assert read_answer(json.dumps(answer | changes), 0.5) == labels


@pytest.mark.parametrize("content", ["", "legal", "[]", "{", "[" * 100_000, "\ud800", "null", '{"category":"legal"}'])
def test_a_malformed_answer_is_unknown(content: str) -> None:
    assert read_answer(content, 0.5) == UNKNOWN


def test_a_labelling_request_is_bounded_and_holds_any_text() -> None:
    """Only the ends of a prompt are sent, as a JSON string."""
    body = request_body("m", "\ud800" + "a" * 10**6 + "end")
    sent = json.loads(body["messages"][1]["content"])
    assert sent.startswith("?aaa")
    assert sent.endswith("aaaend")
    assert len(sent) == MAX_CHARACTERS + 1
    schema = body["response_format"]["json_schema"]["schema"]["properties"]
    assert schema["category"]["enum"] == [*CATEGORIES, "none"]
    assert schema["task_tag"]["enum"] == list(TAGS)
    assert len(json.dumps(body)) < 20_000
