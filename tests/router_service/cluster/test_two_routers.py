"""Two routers on data directories of their own, as on two machines, with a real server between them."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from tests.peers import Server
from tests.running import Running, free_port, until

MODEL = "deepseek/deepseek-v3.2"
# All sell cached reads at half their price or less, and at no more than the others' full price.
TAGS = {"deepinfra": "deepinfra", "chutes": "chutes/tee", "novita-ai": "novita"}
UNUSED = "nebius"
PROVIDER = {"only": list(TAGS.values()), "strategy": "price"}
LONG = [{"role": "user", "content": "Which tides does the pilot wait for? " * 1000}]
LOST, BACK = "PORTOLAN_VALKEY_URL is lost", "PORTOLAN_VALKEY_URL is back"


class Machine(NamedTuple):
    """A running ``portolan serve``."""

    client: httpx2.Client
    router: Running

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.client.post(
            f"/api/v1/{path}", json={"model": MODEL, "provider": PROVIDER, "max_tokens": 5} | body
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, **body: Any) -> str:
        """A chat request; the id of the record that it left."""
        answer = self.post("chat/completions", **({"messages": [{"role": "user", "content": "hi"}]} | body))
        return str(answer["id"])

    def explained(self, generation: str) -> dict[str, Any]:
        def look() -> bool:
            return self.client.get("/api/v1/generation/explain", params={"id": generation}).status_code == 200

        until(look, "the record is there")
        found: dict[str, Any] = self.client.get("/api/v1/generation/explain", params={"id": generation}).json()["data"]
        return found

    def chances(self, **body: Any) -> dict[str, float]:
        """Of each provider to be tried first now."""
        found = self.post("route/preview", **body)["data"]
        return {offer["endpoint"].split(":")[0]: offer["probability"] for offer in found["endpoints"]}

    def outages(self) -> list[str]:
        return [name.split(":")[0] for name in self.client.get("/health").json()["outages"]]

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f'{name}{{way="valkey"}}')))


class House(NamedTuple):
    first: Machine
    second: Machine
    server: Server
    lab: Callable[[str, str], None]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two routers that know the same key, before a lab that answers at once."""
    lab_port = free_port()
    lab_url = f"http://127.0.0.1:{lab_port}"

    def plant(provider: str, mode: str) -> None:
        assert httpx2.post(f"{lab_url}/_control/{provider}", json={"mode": mode}).status_code == 200

    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path))
        database = open_database(Lake(tmp_path / "a").create().database)
        key = create_key(database, "test")
        database.dispose()
        Lake(tmp_path / "b").create()
        shutil.copy(Lake(tmp_path / "a").database, Lake(tmp_path / "b").database)
        lab = stack.enter_context(Running(tmp_path / "lab", "lab", "--port", str(lab_port), "--time-scale", "0"))
        machines = []
        variables = {"PORTOLAN_LAB_URL": lab_url, "PORTOLAN_VALKEY_URL": server.url()}
        for name in ("a", "b"):
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            serve = ("serve", "--port", str(port), "--data-dir", str(tmp_path / name))
            router = stack.enter_context(Running(tmp_path / f"output-{name}", *serve, **variables))
            headers = {"authorization": f"Bearer {key}"}
            client = stack.enter_context(httpx2.Client(base_url=url, headers=headers, timeout=120))
            machines.append(Machine(client, router))
        lab.ready(f"{lab_url}/_log")
        for machine in machines:
            machine.router.ready(f"{machine.client.base_url}/health")
        yield House(*machines, server, plant)


def burst(at: Machine, house: House, provider: str) -> None:
    """Failures of ``provider`` that only ``at`` has seen."""
    house.lab(provider, "error")
    for _ in range(6):
        # The next in order serves.
        at.ask(provider={"order": [TAGS.get(provider, provider)]})
    house.lab(provider, "ok")
    assert provider in at.outages()


def test_what_one_machine_sees_the_other_goes_by_with_the_server_and_on_its_own_without(house: House) -> None:
    first, second, server, _ = house
    assert second.chances()["deepinfra"] > 0

    # A conversation that one has begun goes on at the other, where it is cached.
    begun = first.explained(first.ask(messages=LONG))
    assert begun["decision"]["policy"] == "price"
    holder = begun["endpoint"].split(":")[0]
    until(lambda: second.chances(messages=LONG)[holder] == 1, "the second machine knows the conversation")
    later = [*LONG, {"role": "assistant", "content": "Spring"}, {"role": "user", "content": "And then?"}]
    went_on = second.explained(second.ask(messages=later))
    assert (went_on["decision"]["policy"], went_on["endpoint"]) == ("sticky", begun["endpoint"])

    # A burst at one is avoided at the other, which has met nothing itself.
    burst(first, house, "deepinfra")
    until(lambda: "deepinfra" in second.outages(), "the second machine has heard of it")
    assert second.chances()["deepinfra"] == 0
    served = [second.explained(second.ask()) for _ in range(3)]
    assert all(not row["endpoint"].startswith("deepinfra") for row in served)

    # The server dies: both serve on by what they know, and say so once.
    server.stop()
    until(lambda: not any(m.metric("sharing_working") for m in (first, second)), "both have noticed")
    for machine in (first, second):
        assert machine.metric("sharing_failures_total") > 0
        for _ in range(10):
            machine.ask()
    burst(first, house, "chutes")
    assert "chutes" not in second.outages()

    # It returns, empty: sharing goes on by itself.
    server.start()
    until(lambda: all(m.metric("sharing_working") for m in (first, second)), "both have found it again")
    burst(second, house, UNUSED)
    until(lambda: UNUSED in first.outages(), "the first machine has heard of it")
    for machine in (first, second):
        # A single worker ends by the signal, once it has drained.
        assert machine.router.end() in (0, -signal.SIGTERM), machine.router.output
        said = machine.router.output
        assert (said.count(LOST), said.count(BACK)) == (1, 1), said
        assert "Traceback" not in said
        assert "wind" not in said
