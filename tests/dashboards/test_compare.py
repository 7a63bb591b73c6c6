"""The page Compare against a real router with the lab behind it: figures, errors, bounds, and what is kept where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from dashboards.router_client import (
    MOST_CHARACTERS,
    MOST_TOKENS,
    ONE_AT_A_TIME,
    Answer,
    NoRouter,
    ask_models,
    list_models,
    refusal,
)
from tests.conftest import Stack, open_stack
from tests.dashboards.conftest import PAGES
from tests.running import free_port

MODELS = ["openai/gpt-5", "anthropic/claude-haiku-4.5"]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("router")) as opened:
        yield opened


def compare_page(monkeypatch: pytest.MonkeyPatch, url: str, key: str = "", *models: str) -> AppTest:
    """Run the page with models in its address; ``key`` is that of the dashboards."""
    monkeypatch.setenv("PORTOLAN_ROUTER_URL", url)
    monkeypatch.setenv("PORTOLAN_API_KEY", key)
    page = AppTest.from_file(str(PAGES / "compare.py"), default_timeout=60)
    if models:
        page.query_params["models"] = list(models)
    return page.run()


def ask(router: Stack, prompt: str, models: list[str] = MODELS, longest_s: float = 60) -> list[Answer]:
    return asyncio.run(ask_models(router.url, router.key, models, prompt, 50, lambda answers: None, longest_s))


@pytest.mark.parametrize("typed", [True, False])
def test_answers_have_the_figures_of_the_record(router: Stack, typed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    page = compare_page(monkeypatch, router.url, "" if typed else router.key, *MODELS)
    if typed:
        page.text_input[0].set_value(router.key)
    page.button[0].click().run()
    assert not page.exception and not page.error
    rows = page.dataframe[0].value.to_dict("records")
    assert [row["model"] for row in rows] == MODELS
    for row, text in zip(rows, page.text, strict=True):
        record = router.record(row["generation_id"])
        assert Decimal(row["cost_usd"]) * 10**9 == record["cost_nano"] > 0
        assert row["prompt_tokens"] == record["prompt_tokens"]
        assert row["completion_tokens"] == record["completion_tokens"] == len(text.value.split())
        assert 0 < row["ttft_s"] <= row["total_s"]
        assert any(f"Served by {row['provider']}. [Why it went there](requests?id={row['generation_id']}" in one.value
                   for one in page.caption)  # fmt: skip
    assert page.query_params["models"] == MODELS
    assert router.key not in str(page.query_params)
    assert router.key not in " ".join(one.value for one in page.caption)


def test_an_error_is_the_routers_sentence(router: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    page = compare_page(monkeypatch, router.url, router.key, MODELS[0], "nobody/none")
    page.button[0].click().run()
    assert not page.exception
    assert [one.value for one in page.error] == [
        "nobody/none is not a valid model ID; GET /api/v1/models lists those that are"
    ]
    assert len(page.text) == 1
    page = compare_page(monkeypatch, router.url, "sk-or-v1-wrong", *MODELS)
    page.button[0].click().run()
    assert len(page.error) == 2 and "key" in page.error[0].value


def test_what_came_before_an_error_or_the_time_out_is_kept(router: Stack) -> None:
    for answer in ask(router, "[lab:scenario=error_mid]"):
        assert answer.text and answer.error and answer.total_s
    for answer in ask(router, "[lab:scenario=slow:30]", longest_s=0.5):
        assert answer.error == "The answer was not complete after 0.5 s; its request was cancelled."
        assert answer.generation_id is None or router.record(answer.generation_id)["cancelled"]


def test_answers_are_shown_while_they_come(router: Stack) -> None:
    texts: list[str] = []
    (first, _) = asyncio.run(
        ask_models(router.url, router.key, MODELS, "[lab:scenario=slow:0.2]", 50,
                   lambda answers: texts.append(answers[0].text))
    )  # fmt: skip
    assert first.error is None
    assert any(text and text != first.text and first.text.startswith(text) for text in texts)


def test_a_page_that_is_left_ends_its_requests(router: Stack) -> None:
    ids: list[str] = []

    class Left(BaseException):
        pass

    def leave(answers: list[Answer]) -> None:
        ids.extend(one.generation_id for one in answers if one.generation_id and one.generation_id not in ids)
        if len(ids) == len(MODELS):
            raise Left

    with pytest.raises(Left):
        asyncio.run(ask_models(router.url, router.key, MODELS, "[lab:scenario=slow:30]", 50, leave))
    assert all(router.record(one)["cancelled"] for one in ids)


@pytest.mark.parametrize(("models", "prompt", "tokens", "says"), [
    (MODELS[:1], "x", 10, "2 to 4 models"), ([*MODELS] * 3, "x", 10, "2 to 4 models"), (MODELS, " ", 10, "Write a"),
    (MODELS, "x" * (MOST_CHARACTERS + 1), 10, "shorten it"), (MODELS, "x", MOST_TOKENS + 1, "tokens"),
    (MODELS, "x", 0, "tokens"), (MODELS, "x" * MOST_CHARACTERS, MOST_TOKENS, None),
])  # fmt: skip
def test_a_question_is_bounded(models: list[str], prompt: str, tokens: int, says: str | None) -> None:
    found = refusal(models, prompt, tokens)
    assert found is None if says is None else says in str(found)


def test_nothing_is_sent_without_a_key_or_with_one_model(router: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, models, says in (("", MODELS, "portolan keys create"), (router.key, MODELS[:1], "2 to 4 models")):
        page = compare_page(monkeypatch, router.url, key, *models)
        assert not page.warning
        page.button[0].click().run()
        assert not page.exception and says in page.warning[0].value and not page.dataframe


def test_one_comparison_runs_at_a_time(router: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    page = compare_page(monkeypatch, router.url, router.key, *MODELS)
    with ONE_AT_A_TIME:
        page.button[0].click().run()
        assert "Another comparison is running" in page.warning[0].value and not page.dataframe
    page.button[0].click().run()
    assert not page.warning and len(page.dataframe) == 1
    # A run that fails lets the next one begin.
    assert not ONE_AT_A_TIME.locked()


def test_without_a_router_the_page_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NoRouter):
        list_models(url)
    page = compare_page(monkeypatch, url)
    assert not page.exception
    assert url in page.info[0].value and "portolan up" in page.info[0].value and not page.button
