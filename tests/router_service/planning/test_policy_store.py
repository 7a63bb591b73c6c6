"""Test a trained policy in a real router: the last calls count within seconds, at every worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from lab.server import create_app
from router_service.admission.keys import create_key, open_database
from router_service.core.preferences import NO_PREFERENCES, Preferences
from router_service.planning.model_variants import RequestedModel
from router_service.planning.planner import OBSERVATION_INTERVAL_S, Planner
from tests.conftest import Stack, serving
from tests.learned_world import (
    GROQ,
    MODEL,
    WANDB,
    Lake,
    SteadyLab,
    ask,
    chances,
    learned_stack,
    plant,
    teach,
)
from tests.market import PROFILE
from tests.peers import Clock, Worker
from tests.running import Running, free_port, until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
# Groq is the faster provider, and the slower one once it is slowed fourfold.
WAITS = {("groq", None): 0.05, ("wandb", None): 0.09}
TAUGHT = {(GROQ, None): 0.05, (WANDB, None): 0.09}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with learned_stack(tmp_path, TAUGHT, SteadyLab(WAITS)) as opened:
        yield opened


def requests_until(client: httpx2.Client, groq: bool, most: int, **more: Any) -> int:
    """Return the number of requests until Groq is (or is no longer) most probable, at most ``most``."""
    for number in range(most):
        if (chances(client)["groq"] > 0.5) is groq:
            return number
        ask(client, **more)
    return most


REACH_GROQ = {"provider": {"only": ["groq"]}}


def test_an_endpoint_that_slows_fourfold_loses_its_traffic_within_20_requests_and_regains_it(
    stack: Stack,
) -> None:
    with stack.client as client:
        for _ in range(10):
            ask(client)
        # The first call of the process is slow.
        assert requests_until(client, groq=True, most=100, **REACH_GROQ) < 100
        plant(stack.lab, "groq", mode="slow", factor=4)
        assert requests_until(client, groq=False, most=40) <= 20
        # The number of requests until exploration reaches it is random; the result of those requests is not.
        assert chances(client)["groq"] > 0.002
        plant(stack.lab, "groq", mode="ok")
        assert requests_until(client, groq=True, most=100, **REACH_GROQ) < 100


def test_a_decision_from_live_observations_is_reproduced_from_its_record(stack: Stack) -> None:
    with stack.client as client:
        plant(stack.lab, "groq", mode="slow", factor=4)
        ids = [ask(client) for _ in range(20)]
        found = [client.get("/api/v1/generation/explain", params={"id": name}).json()["data"] for name in ids]
    assert {row["decision"]["policy"] for row in found} == {"learned"}
    assert {row["endpoint"].partition(":")[0] for row in found} == {"groq", "wandb"}
    assert all(row["replay"]["agrees"] for row in found)


class Failing:
    """Act as an artifact that loads, and fails in a decision with an unexpected exception."""

    version = "failing"

    def probabilities(self, *_: object) -> list[float]:
        raise ZeroDivisionError


@pytest.mark.parametrize("broken", [Failing(), None])
def test_an_artifact_that_fails_in_a_decision_is_replaced_by_the_rules(stack: Stack, broken: object) -> None:
    (served,) = stack.services.policies._loaded.values()
    if broken is None:
        # One of its figures becomes NaN.
        served._policy._artifact.predictor._intercepts[:] = float("nan")
    else:
        served._policy = broken  # type: ignore[assignment]
    with stack.client as client:
        explained = client.get("/api/v1/generation/explain", params={"id": ask(client)}).json()["data"]
        assert explained["decision"]["policy"] == "price"
        assert "policy_failures_total 1.0" in client.get("/metrics").text


CROSSED = {(GROQ, "asia"): 0.05, (GROQ, "europe"): 0.5, (WANDB, "asia"): 0.5, (WANDB, "europe"): 0.05}


def test_clients_of_each_region_prefer_the_endpoint_that_was_near_in_training(tmp_path: Path) -> None:
    with learned_stack(tmp_path, CROSSED) as stack, stack.client as client:
        assert chances(client, "asia")["groq"] > 0.9
        assert chances(client, "europe")["wandb"] > 0.9


class Two(NamedTuple):
    """Hold clients of two workers that share a data directory, and their lab."""

    first: httpx2.Client
    second: httpx2.Client
    lab: SteadyLab


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    lake = Lake(tmp_path / "data").create()
    teach(lake, TAUGHT)
    key = create_key(open_database(lake.database), "test")
    lab = SteadyLab(WAITS)
    with ExitStack() as exits:
        lab_url = exits.enter_context(serving(create_app(lab)))
        settings = {"LAB_URL": lab_url, "LEARNED_SHARE": "1", "USD_PER_SECOND": "0.05"}
        variables = {f"PORTOLAN_{name}": value for name, value in settings.items()}
        clients = []
        for name in ("a", "b"):
            port = free_port()
            serve = ("serve", "--port", str(port), "--data-dir", str(lake.root))
            router = exits.enter_context(Running(tmp_path / name, *serve, **variables))
            url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {key}"}
            router.ready(f"{url}/health")
            clients.append(exits.enter_context(httpx2.Client(base_url=url, headers=headers, timeout=120)))
        yield Two(*clients, lab)


def test_observations_of_one_worker_change_the_plan_of_the_other(two: Two) -> None:
    assert chances(two.second)["groq"] > 0.9
    plant(two.lab, "groq", mode="slow", factor=4)
    for _ in range(20):
        ask(two.first, provider={"only": ["groq"]})
    until(lambda: chances(two.second)["groq"] < 0.1, "the second worker has heard of it")
    assert chances(two.first)["groq"] < 0.1


@pytest.fixture
def planner(tmp_path: Path) -> tuple[Planner, Worker, Clock]:
    """Return a planner for the two endpoints, with a clock that the test sets."""
    with learned_stack(tmp_path, TAUGHT) as stack:
        whole = stack.services.planner
    clock = Clock()
    worker = Worker(clock=clock)
    offers = {MODEL: tuple(offer for offer in whole.endpoints[MODEL] if offer.id in (GROQ, WANDB))}
    made = Planner(
        whole.catalogue, offers, whole.health, whole.policies, 1.0,
        statistics=worker.statistics, weights=whole.weights, clock=clock,
    )  # fmt: skip
    return made, worker, clock


WANTED, STREAM = (RequestedModel(MODEL, MODEL),), PROFILE._replace(stream=True)


def test_a_plan_is_valid_for_one_observation_interval(planner: tuple[Planner, Worker, Clock]) -> None:
    made, worker, clock = planner
    first = made.plan(WANTED, NO_PREFERENCES, STREAM)
    for _ in range(5):
        worker.call(GROQ, error="server")
    assert made.plan(WANTED, NO_PREFERENCES, STREAM) is first
    clock.now += OBSERVATION_INTERVAL_S
    later = made.plan(WANTED, NO_PREFERENCES, STREAM)
    assert later.probabilities != first.probabilities
    price = made.plan(WANTED, Preferences(strategy="price"), STREAM)
    clock.now += 10 * OBSERVATION_INTERVAL_S
    assert made.plan(WANTED, Preferences(strategy="price"), STREAM) is price


def test_a_snapshot_does_not_change_with_later_observations() -> None:
    worker = Worker(clock=Clock())
    worker.call(GROQ)
    before = worker.statistics.snapshot([GROQ, WANDB])
    known = list(before.views)
    worker.call(GROQ, error="server")
    worker.begin(WANDB)
    assert list(before.views) == known
