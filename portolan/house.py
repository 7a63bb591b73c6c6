"""``portolan up``: the processes of a whole market, opened and closed as one house."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from data.catalogue import load_catalogue
from data.lake import Lake
from portolan.processes import STOP_S, Processes, terminating, wait_for
from router_service.admission.keys import create_key, open_database
from router_service.settings import Settings

HOST = "127.0.0.1"
CHAT = '{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"Hello"}]}'
# What ``dagster.yaml`` of a checkout says, without the places: they are this folder's own.
DAGSTER = """\
telemetry: {enabled: false}
concurrency: {pools: {default_limit: 1}}
run_monitoring: {enabled: true, poll_interval_seconds: 30, free_slots_after_run_end_seconds: 60}
"""


class Plan(NamedTuple):
    """What to open. ``use_lab=None``: the lab stands in when the environment holds no provider's key.

    ``lab_speed``: seconds of the lab's market in a second; the pipelines are told, for they count its time.
    """

    port: int
    dashboards_port: int
    dagster_port: int
    lab_port: int
    data_dir: Path
    use_lab: bool | None
    dashboards: bool
    dagster: bool
    traffic: float
    refresh_every: float
    lab_speed: float = 1.0

    def with_lab(self) -> bool:
        if self.use_lab is not None:
            return self.use_lab
        names = {name for provider in load_catalogue().providers.values() for name in provider.key_env}
        return not any(os.environ.get(name) for name in names)

    def ports(self) -> dict[str, int]:
        """The ports that will be listened at, by option."""
        wanted = {
            "--port": (self.port, True),
            "--lab-port": (self.lab_port, self.with_lab()),
            "--dashboards-port": (self.dashboards_port, self.dashboards),
            "--dagster-port": (self.dagster_port, self.dagster),
        }
        return {option: port for option, (port, opened) in wanted.items() if opened}


def open_house(plan: Plan, say: Callable[[str], None]) -> bool:
    """Start everything, watch it, stop everything. False when a process ended by itself."""
    key = create_key(open_database(Lake(plan.data_dir).create().database), "portolan up")
    shared = {"PORTOLAN_DATA_DIR": str(plan.data_dir.resolve()), **_dagster_home(plan.data_dir)}
    house = Processes(PORTOLAN_LAB_SPEED=str(plan.lab_speed if plan.with_lab() else 1.0), **shared)
    with terminating():
        try:
            return _start(plan, house, key, say) and _watch(plan, house, say)
        except KeyboardInterrupt:
            say("stopping")
            return True
        finally:
            house.stop()


def _start(plan: Plan, house: Processes, key: str, say: Callable[[str], None]) -> bool:
    url = f"http://{HOST}:{plan.port}"
    environment = {}
    if plan.with_lab():
        # It would wait for the answers that it still owes, and holds nothing worth waiting for.
        options = ("--port", str(plan.lab_port), "--time-scale", str(1 / plan.lab_speed))
        house.portolan("lab", "lab", *options, patience=1.0)
        environment["PORTOLAN_LAB_URL"] = f"http://{HOST}:{plan.lab_port}"
    patience = STOP_S + Settings().log_drain_timeout
    house.portolan("router", "serve", "--port", str(plan.port), patience=patience, **environment)
    if not wait_for(f"{url}/health", house.ended):
        ended = house.ended()
        say(f"{ended[0] if ended else 'the router'} did not start; are ports {plan.port} and {plan.lab_port} free?")
        return False
    if plan.with_lab() and plan.traffic:
        replay = ("replay", "--base-url", f"{url}/api/v1", "--rate", str(plan.traffic))
        house.portolan("traffic", *replay, PORTOLAN_API_KEY=key)
    say(f"API         {url}/api/v1 (documentation: {url}/docs)")
    say(f"providers   {'the lab, on loopback' if plan.with_lab() else 'real, by the keys in the environment'}")
    if plan.dashboards:
        _start_dashboards(plan, house, say)
    if plan.dagster:
        house.run("dagster", _dagster(plan), PYTHONWARNINGS="ignore")
        say(f"pipelines   http://{HOST}:{plan.dagster_port} (takes some seconds)")
    house.portolan("guardrails", "policy", "check", "--every", str(plan.refresh_every))
    say(f"key         {key}")
    say(f"try         curl {url}/api/v1/chat/completions -H 'Authorization: Bearer {key}' -d '{CHAT}'")
    return True


def _watch(plan: Plan, house: Processes, say: Callable[[str], None]) -> bool:
    next_refresh = time.monotonic() + min(30.0, plan.refresh_every)
    while (ended := house.ended()) is None:
        time.sleep(0.5)
        if complaint := house.complaint():
            say(f"the pipelines: {complaint}")
        if time.monotonic() >= next_refresh:
            next_refresh = time.monotonic() + plan.refresh_every
            house.beside("refresh")
    say(f"{ended[0]} ended with code {ended[1]}; stopping the rest")
    return False


def _start_dashboards(plan: Plan, house: Processes, say: Callable[[str], None]) -> None:
    app = str(resources.files("dashboards").joinpath("streamlit_app.py"))
    options = ["--server.port", str(plan.dashboards_port), "--server.address", HOST, "--server.headless", "true"]
    options += ["--browser.gatherUsageStats", "false"]
    house.run("dashboards", [sys.executable, "-m", "streamlit", "run", app, *options])
    say(f"dashboards  http://{HOST}:{plan.dashboards_port} (first figures after half a minute)")


def _dagster(plan: Plan) -> list[str]:
    options = ["-m", "pipelines.definitions", "-h", HOST, "-p", str(plan.dagster_port)]
    return [sys.executable, "-m", "pipelines.instance", "dev", *options, "--log-level", "warning"]


def _dagster_home(data_dir: Path) -> dict[str, str]:
    """The folder with ``dagster.yaml``: the working one if its state lies in ``data_dir``, else one in there."""
    if Path("dagster.yaml").exists() and data_dir.resolve() == Path("data/var").resolve():
        return {"DAGSTER_HOME": str(Path.cwd())}
    home = (data_dir / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(DAGSTER)
    return {"DAGSTER_HOME": str(home)}
