"""A trained policy in a real router: what was seen of the last calls decides, within seconds, at every worker."""

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
from router_service.planning.planner import OBSERVED_FOR_S, Planner
from tests.conftest import House, serving
from tests.learned_world import (
    GROQ,
    MODEL,
    WANDB,
    Lake,
    SteadyLab,
    ask,
    chances,
    learned_house,
    plant,
    teach,
)
from tests.market import ASK
from tests.peers import Clock, Worker
from tests.running import Running, free_port, until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
# Groq is the better one, and, slowed fourfold, the worse.
WAITS = {("groq", None): 0.05, ("wandb", None): 0.09}
TAUGHT = {(GROQ, None): 0.05, (WANDB, None): 0.09}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with learned_house(tmp_path, TAUGHT, SteadyLab(WAITS)) as opened:
        yield opened


def requests_until(client: httpx2.Client, groq: bool, most: int, **more: Any) -> int:
    """How many are sent until Groq is, or is no longer, who is usually tried first; at most ``most``."""
    for number in range(most):
        if (chances(client)["groq"] > 0.5) is groq:
            return number
        ask(client, **more)
    return most


REACH_GROQ = {"provider": {"only": ["groq"]}}


def test_who_slows_fourfold_is_left_within_20_requests_and_found_again(house: House) -> None:
    with house.client as client:
        for _ in range(10):
            ask(client)
        # The first call of all is a slow one.
        assert requests_until(client, groq=True, most=100, **REACH_GROQ) < 100
        plant(house.lab, "groq", mode="slow", factor=4)
        assert requests_until(client, groq=False, most=40) <= 20
        # How many requests pass until exploring reaches it is chance; what those find is not.
        assert chances(client)["groq"] > 0.002
        plant(house.lab, "groq", mode="ok")
        assert requests_until(client, groq=True, most=100, **REACH_GROQ) < 100


def test_a_decision_from_what_was_seen_is_made_again_from_its_record(house: House) -> None:
    with house.client as client:
        plant(house.lab, "groq", mode="slow", factor=4)
        ids = [ask(client) for _ in range(20)]
        found = [client.get("/api/v1/generation/explain", params={"id": name}).json()["data"] for name in ids]
    assert {row["decision"]["policy"] for row in found} == {"learned"}
    assert {row["endpoint"].partition(":")[0] for row in found} == {"groq", "wandb"}
    assert all(row["replay"]["agrees"] for row in found)


class Failing:
    """An artifact that loads, and fails in a decision as nobody foresaw."""

    version = "failing"

    def probabilities(self, *_: object) -> list[float]:
        raise ZeroDivisionError


@pytest.mark.parametrize("broken", [Failing(), None])
def test_an_artifact_that_fails_in_a_decision_is_abandoned_for_the_rules(house: House, broken: object) -> None:
    (served,) = house.services.policies._loaded.values()
    if broken is None:
        # Of its figures one has become no number.
        served._policy._artifact.predictor._intercepts[:] = float("nan")
    else:
        served._policy = broken  # type: ignore[assignment]
    with house.client as client:
        explained = client.get("/api/v1/generation/explain", params={"id": ask(client)}).json()["data"]
        assert explained["decision"]["policy"] == "price"
        assert "policy_failures_total 1.0" in client.get("/metrics").text


CROSSED = {(GROQ, "asia"): 0.05, (GROQ, "europe"): 0.5, (WANDB, "asia"): 0.5, (WANDB, "europe"): 0.05}


def test_each_regions_clients_are_sent_to_whom_training_saw_near_to_them(tmp_path: Path) -> None:
    with learned_house(tmp_path, CROSSED) as house, house.client as client:
        assert chances(client, "asia")["groq"] > 0.9
        assert chances(client, "europe")["wandb"] > 0.9


class Two(NamedTuple):
    """Clients of two workers that share a data directory, and their lab."""

    first: httpx2.Client
    second: httpx2.Client
    lab: SteadyLab


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    lake = Lake(tmp_path / "data").create()
    teach(lake, TAUGHT)
    key = create_key(open_database(lake.database), "test")
    lab = SteadyLab(WAITS)
    with ExitStack() as stack:
        lab_url = stack.enter_context(serving(create_app(lab)))
        settings = {"LAB_URL": lab_url, "LEARNED_SHARE": "1", "USD_PER_SECOND": "0.05"}
        variables = {f"PORTOLAN_{name}": value for name, value in settings.items()}
        clients = []
        for name in ("a", "b"):
            port = free_port()
            serve = ("serve", "--port", str(port), "--data-dir", str(lake.root))
            router = stack.enter_context(Running(tmp_path / name, *serve, **variables))
            url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {key}"}
            router.ready(f"{url}/health")
            clients.append(stack.enter_context(httpx2.Client(base_url=url, headers=headers, timeout=30)))
        yield Two(*clients, lab)


def test_what_one_worker_meets_changes_the_others_plan(two: Two) -> None:
    assert chances(two.second)["groq"] > 0.9
    plant(two.lab, "groq", mode="slow", factor=4)
    for _ in range(20):
        ask(two.first, provider={"only": ["groq"]})
    until(lambda: chances(two.second)["groq"] < 0.1, "the second worker has heard of it", 10)
    assert chances(two.first)["groq"] < 0.1


@pytest.fixture
def planner(tmp_path: Path) -> tuple[Planner, Worker, Clock]:
    """Of the two endpoints, by a clock."""
    with learned_house(tmp_path, TAUGHT) as house:
        whole = house.services.planner
    clock = Clock()
    worker = Worker(clock=clock)
    offers = {MODEL: tuple(offer for offer in whole.endpoints[MODEL] if offer.id in (GROQ, WANDB))}
    made = Planner(
        whole.catalogue, offers, whole.health, whole.policies, 1.0,
        statistics=worker.statistics, wish=whole.wish, clock=clock,
    )  # fmt: skip
    return made, worker, clock


WANTED, STREAM = (RequestedModel(MODEL, MODEL),), ASK._replace(stream=True)


def test_a_plan_holds_for_its_moment_and_no_longer(planner: tuple[Planner, Worker, Clock]) -> None:
    made, worker, clock = planner
    first = made.plan(WANTED, NO_PREFERENCES, STREAM)
    for _ in range(5):
        worker.call(GROQ, error="server")
    assert made.plan(WANTED, NO_PREFERENCES, STREAM) is first
    clock.now += OBSERVED_FOR_S
    later = made.plan(WANTED, NO_PREFERENCES, STREAM)
    assert later.probabilities != first.probabilities
    price = made.plan(WANTED, Preferences(strategy="price"), STREAM)
    clock.now += 10 * OBSERVED_FOR_S
    assert made.plan(WANTED, Preferences(strategy="price"), STREAM) is price


def test_a_snapshot_does_not_change_with_what_is_seen_after_it() -> None:
    worker = Worker(clock=Clock())
    worker.call(GROQ)
    before = worker.statistics.seen([GROQ, WANDB])
    known = list(before.views)
    worker.call(GROQ, error="server")
    worker.begin(WANDB)
    assert list(before.views) == known
