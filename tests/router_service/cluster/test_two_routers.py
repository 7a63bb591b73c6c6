"""Test two routers with separate data directories, as on two machines, with a real server between them."""

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
# All of them charge at most half their price for cached reads, and at most the full price of the others.
TAGS = {"deepinfra": "deepinfra", "chutes": "chutes/tee", "novita-ai": "novita"}
UNUSED = "nebius"
PROVIDER = {"only": list(TAGS.values()), "strategy": "price"}
LONG = [{"role": "user", "content": "Which tides does the pilot wait for? " * 1000}]
LOST, BACK = "PORTOLAN_VALKEY_URL is lost", "PORTOLAN_VALKEY_URL is back"


class Machine(NamedTuple):
    """Hold a running ``portolan serve`` and a client of it."""

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
        """Send a chat request, and return the id of its record."""
        answer = self.post("chat/completions", **({"messages": [{"role": "user", "content": "hi"}]} | body))
        return str(answer["id"])

    def explained(self, generation: str) -> dict[str, Any]:
        def look() -> bool:
            return self.client.get("/api/v1/generation/explain", params={"id": generation}).status_code == 200

        until(look, "the record is written")
        found: dict[str, Any] = self.client.get("/api/v1/generation/explain", params={"id": generation}).json()["data"]
        return found

    def chances(self, **body: Any) -> dict[str, float]:
        """Return the probability of each provider to be tried first now."""
        found = self.post("route/preview", **body)["data"]
        return {offer["endpoint"].split(":")[0]: offer["probability"] for offer in found["endpoints"]}

    def outages(self) -> list[str]:
        return [name.split(":")[0] for name in self.client.get("/health").json()["outages"]]

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f'{name}{{way="valkey"}}')))


class TwoRouters(NamedTuple):
    first: Machine
    second: Machine
    server: Server
    lab: Callable[[str, str], None]


@pytest.fixture
def routers(tmp_path: Path) -> Iterator[TwoRouters]:
    """Start two routers that accept the same key, in front of a lab that responds at once."""
    lab_port = free_port()
    lab_url = f"http://127.0.0.1:{lab_port}"

    def set_mode(provider: str, mode: str) -> None:
        assert httpx2.post(f"{lab_url}/_control/{provider}", json={"mode": mode}).status_code == 200

    with ExitStack() as exits:
        server = exits.enter_context(Server(tmp_path))
        database = open_database(Lake(tmp_path / "a").create().database)
        key = create_key(database, "test")
        database.dispose()
        Lake(tmp_path / "b").create()
        shutil.copy(Lake(tmp_path / "a").database, Lake(tmp_path / "b").database)
        lab = exits.enter_context(Running(tmp_path / "lab", "lab", "--port", str(lab_port), "--time-scale", "0"))
        machines = []
        variables = {"PORTOLAN_LAB_URL": lab_url, "PORTOLAN_VALKEY_URL": server.url()}
        for name in ("a", "b"):
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            serve = ("serve", "--port", str(port), "--data-dir", str(tmp_path / name))
            router = exits.enter_context(Running(tmp_path / f"output-{name}", *serve, **variables))
            headers = {"authorization": f"Bearer {key}"}
            client = exits.enter_context(httpx2.Client(base_url=url, headers=headers, timeout=120))
            machines.append(Machine(client, router))
        lab.ready(f"{lab_url}/_log")
        for machine in machines:
            machine.router.ready(f"{machine.client.base_url}/health")
        yield TwoRouters(*machines, server, set_mode)


def burst(at: Machine, routers: TwoRouters, provider: str) -> None:
    """Cause failures of ``provider`` that only ``at`` observes."""
    routers.lab(provider, "error")
    # How many failures it takes depends on how many requests it has served in the last seconds.
    for _ in range(40):
        # The next provider in the order serves the request.
        at.ask(provider={"order": [TAGS.get(provider, provider)]})
        if provider in at.outages():
            break
    routers.lab(provider, "ok")
    assert provider in at.outages()


def test_machines_share_observations_while_the_server_runs_and_continue_alone_without_it(routers: TwoRouters) -> None:
    first, second, server, _ = routers
    assert second.chances()["deepinfra"] > 0

    # A conversation that began at one machine continues at the other with the provider that has it cached.
    begun = first.explained(first.ask(messages=LONG))
    assert begun["decision"]["policy"] == "price"
    holder = begun["endpoint"].split(":")[0]
    until(lambda: second.chances(messages=LONG)[holder] == 1, "the second machine knows the conversation")
    later = [*LONG, {"role": "assistant", "content": "Spring"}, {"role": "user", "content": "And then?"}]
    continued = second.explained(second.ask(messages=later))
    assert (continued["decision"]["policy"], continued["endpoint"]) == ("sticky", begun["endpoint"])

    # The other machine avoids a provider that fails at one, without failures of its own.
    burst(first, routers, "deepinfra")
    until(lambda: "deepinfra" in second.outages(), "the second machine knows of the outage", 20)
    assert second.chances()["deepinfra"] == 0
    served = [second.explained(second.ask()) for _ in range(3)]
    assert all(not row["endpoint"].startswith("deepinfra") for row in served)

    # After the server has died both serve on with what they know, and log it once.
    server.stop()
    until(lambda: not any(m.metric("sharing_working") for m in (first, second)), "both have noticed")
    for machine in (first, second):
        assert machine.metric("sharing_failures_total") > 0
        for _ in range(10):
            machine.ask()
    burst(first, routers, "chutes")
    assert "chutes" not in second.outages()

    # When the server returns without data, sharing resumes by itself.
    server.start()
    until(lambda: all(m.metric("sharing_working") for m in (first, second)), "both have reconnected", 60)
    burst(second, routers, UNUSED)
    until(lambda: UNUSED in first.outages(), "the first machine knows of the outage", 20)
    for machine in (first, second):
        # A single worker ends by the signal after it has drained.
        assert machine.router.end() in (0, -signal.SIGTERM), machine.router.output
        output = machine.router.output
        assert (output.count(LOST), output.count(BACK)) == (1, 1), output
        assert "Traceback" not in output
        assert "wind" not in output
