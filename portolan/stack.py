"""``portolan up``: start, watch and stop the router, lab, pipelines and dashboards together."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from data.lake import Lake
from portolan.demo import is_recent
from portolan.processes import STOP_S, Processes, terminating, wait_for
from router_service.admission.key_changes import create_recorded
from router_service.admission.keys import NewKey, hash_key, open_database, read_keys

HOST = "127.0.0.1"
# Browsers that a page on the web has led here by a name of its own are refused (DNS rebinding).
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
OWN_KEY_FILE = "portolan-up.key"
CHAT = '{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"Hello"}]}'
# The settings of the repository's ``dagster.yaml`` without its storage paths, which are relative to the new folder.
DAGSTER = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {pools: {default_limit: 1}}
run_monitoring: {enabled: true, poll_interval_seconds: 30, free_slots_after_run_end_seconds: 60}
"""


class StackOptions(NamedTuple):
    """Options of ``portolan up``: which processes to start, their ports and the data directory.

    ``lab_speed`` is the number of simulated seconds that pass in the lab in one second; the pipelines receive it, since
    they count simulated time. ``drain_s`` is the time that the router has at its end to write its log, seconds.
    ``demo`` asks for the synthetic market, which is made beside the rest once the router serves. ``allowed_hosts`` are
    names, beside those of loopback, by which browsers may address the dashboards and Dagster. ``alert_webhook`` is the
    address that is told of failed runs.
    """

    port: int
    dashboards_port: int
    dagster_port: int
    lab_port: int
    data_dir: Path
    use_lab: bool
    dashboards: bool
    dagster: bool
    traffic: float
    refresh_every: float
    lab_speed: float = 1.0
    drain_s: float = 10.0
    demo: bool = False
    analytics_port: int = 8502
    alert_webhook: str = ""
    allowed_hosts: tuple[str, ...] = ()

    def ports(self) -> dict[str, int]:
        """Return the ports of the processes that will be started, by option name."""
        wanted = {
            "--port": (self.port, True),
            "--lab-port": (self.lab_port, self.use_lab),
            "--dashboards-port": (self.dashboards_port, self.dashboards),
            "--analytics-port": (self.analytics_port, self.dashboards),
            "--dagster-port": (self.dagster_port, self.dagster),
        }
        return {option: port for option, (port, opened) in wanted.items() if opened}


def open_stack(options: StackOptions, say: Callable[[str], None]) -> bool:
    """Start everything, watch it, stop everything. False when a process ended by itself."""
    key = own_key(options.data_dir)
    shared = {"PORTOLAN_DATA_DIR": str(options.data_dir.resolve()), **_dagster_home(options.data_dir)}
    shared["PORTOLAN_ALERT_WEBHOOK"] = options.alert_webhook
    stack = Processes(PORTOLAN_LAB_SPEED=str(options.lab_speed if options.use_lab else 1.0), **shared)
    with terminating():
        try:
            return _start(options, stack, key, say) and _watch(options, stack, say)
        except KeyboardInterrupt:
            say("stopping")
            return True
        finally:
            stack.stop()


def own_key(data_dir: Path) -> str:
    """Return the key of ``portolan up``: the same at each start, unless it was revoked or has expired.

    The file has the key itself, since the database has its hash alone; only its owner can read it.
    """
    engine = open_database(Lake(data_dir).create().database)
    file = data_dir / OWN_KEY_FILE
    with suppress(OSError, UnicodeDecodeError):
        kept = file.read_text(encoding="ascii").strip()
        if any(key.hash == hash_key(kept) and key.is_usable(time.time()) for key in read_keys(engine)):
            return kept
    made = create_recorded(engine, NewKey("portolan up", management=True))
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as written:
        written.write(made + "\n")
    draft.replace(file)
    return made


def _start(options: StackOptions, stack: Processes, key: str, say: Callable[[str], None]) -> bool:
    url = f"http://{HOST}:{options.port}"
    environment = {}
    if options.use_lab:
        # The lab would wait for its open responses, and it holds no state that is worth waiting for.
        arguments = ("--port", str(options.lab_port), "--time-scale", str(1 / options.lab_speed))
        stack.portolan("lab", "lab", *arguments, patience=1.0)
        environment["PORTOLAN_LAB_URL"] = f"http://{HOST}:{options.lab_port}"
    if options.dashboards:
        # Made anew at each start, and known to the two processes alone.
        token, port = secrets.token_hex(16), str(options.analytics_port)
        stack.portolan("analytics", "analytics", "--port", port, PORTOLAN_ANALYTICS_TOKEN=token)
        environment["PORTOLAN_ANALYTICS_URL"] = f"http://{HOST}:{port}"
        environment["PORTOLAN_ANALYTICS_TOKEN"] = token
    patience = STOP_S + options.drain_s
    stack.portolan("router", "serve", "--port", str(options.port), patience=patience, **environment)
    if not wait_for(f"{url}/health", stack.ended):
        ended = stack.ended()
        name = ended[0] if ended else "the router"
        say(f"{name} did not start; are ports {options.port} and {options.lab_port} free?")
        return False
    if options.use_lab and options.traffic:
        replay = ("replay", "--base-url", f"{url}/api/v1", "--rate", str(options.traffic))
        stack.portolan("traffic", *replay, PORTOLAN_API_KEY=key)
    say(f"API         {url}/api/v1 (documentation: {url}/docs)")
    say(f"providers   {'the lab, on loopback' if options.use_lab else 'real, by the keys that are configured'}")
    if options.dashboards:
        _start_dashboards(options, stack, key, say)
        say(f"analytics   {url}/api/v1/analytics/query, with the key below (docs/analytics.md)")
        if options.demo and not is_recent(options.data_dir):
            stack.beside("demo-data")
    if options.dagster:
        hosts = ",".join(options.allowed_hosts)
        stack.run(
            "dagster", _dagster(options), PYTHONWARNINGS="ignore", PORTOLAN_UI_HOSTS=hosts, PORTOLAN_SCHEDULES="off"
        )
        say(f"pipelines   http://{HOST}:{options.dagster_port} (takes some seconds)")
    stack.portolan("guardrails", "policy", "check", "--every", str(options.refresh_every))
    say(f"key         {key}")
    say(f"try         curl {url}/api/v1/chat/completions -H 'Authorization: Bearer {key}' -d '{CHAT}'")
    return True


def _watch(options: StackOptions, stack: Processes, say: Callable[[str], None]) -> bool:
    next_refresh = time.monotonic() + min(30.0, options.refresh_every)
    while (ended := stack.ended()) is None:
        time.sleep(0.5)
        if complaint := stack.complaint():
            say(f"the pipelines: {complaint}")
        if time.monotonic() >= next_refresh:
            next_refresh = time.monotonic() + options.refresh_every
            stack.beside("refresh")
    say(f"{ended[0]} ended with code {ended[1]}; stopping the rest")
    return False


def _start_dashboards(options: StackOptions, stack: Processes, key: str, say: Callable[[str], None]) -> None:
    app = str(resources.files("dashboards").joinpath("server.py"))
    arguments = ["--server.port", str(options.dashboards_port), "--server.address", HOST, "--server.headless", "true"]
    arguments += ["--browser.gatherUsageStats", "false", "--global.disableWidgetStateDuplicationWarning", "true"]
    for host in (*LOOPBACK, *options.allowed_hosts):
        arguments += ["--server.allowedHosts", host]
    for host in options.allowed_hosts:
        arguments += ["--server.corsAllowedOrigins", f"https://{host}"]
    # Requests to the lab cost nothing. With real providers, whoever compares models gives a key.
    given = key if options.use_lab else os.environ.get("PORTOLAN_API_KEY", "")
    url = f"http://{HOST}:{options.port}"
    command = [sys.executable, "-m", "streamlit", "run", app, *arguments]
    stack.run("dashboards", command, PORTOLAN_ROUTER_URL=url, PORTOLAN_API_KEY=given)
    say(f"dashboards  http://{HOST}:{options.dashboards_port} (first figures after half a minute)")


def _dagster(options: StackOptions) -> list[str]:
    arguments = ["-m", "pipelines.definitions", "-h", HOST, "-p", str(options.dagster_port)]
    return [sys.executable, "-m", "pipelines.instance", "dev", *arguments, "--log-level", "warning"]


def _dagster_home(data_dir: Path) -> dict[str, str]:
    """Return ``DAGSTER_HOME``: the working directory if it keeps its state in ``data_dir``, else a folder in there."""
    if Path("dagster.yaml").exists() and data_dir.resolve() == Path("data/var").resolve():
        return {"DAGSTER_HOME": str(Path.cwd())}
    home = (data_dir / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(DAGSTER)
    return {"DAGSTER_HOME": str(home)}
