"""``portolan up`` on ports and data of its own, and what can be asked of it from outside."""

from __future__ import annotations

import json
import re
import signal
import urllib.parse
import urllib.request
from pathlib import Path

from data.lake import Lake
from tests.running import Running, free_port, portolan


class Stack:
    """Router, lab, traffic, refreshes and dashboards, as one command starts them. Use as a context."""

    def __init__(self, folder: Path, *, speed: float, rate: float, refresh_s: float) -> None:
        self.lake = Lake(folder / "data")
        self.speed = speed
        ports = {name: free_port() for name in ("--port", "--lab-port", "--dashboards-port")}
        self.lab = f"http://127.0.0.1:{ports['--lab-port']}"
        self.dashboards = f"http://127.0.0.1:{ports['--dashboards-port']}"
        self.options = ("--lab", "--no-dagster", "--lab-speed", f"{speed:g}", "--traffic", f"{rate:g}")
        self.options += ("--refresh-every", f"{refresh_s:g}")
        listening = [word for name, port in ports.items() for word in (name, str(port))]
        data = ("--data-dir", str(self.lake.root))
        self._running = Running(folder / "output", "up", *self.options, *listening, *data)

    def __enter__(self) -> Stack:
        self._running.ready(f"{self.lab}/_log")
        return self

    def __exit__(self, *_: object) -> None:
        if self._running.process.poll() is None:
            self._running.end(signal.SIGINT)
        self._running.__exit__(None, None, None)

    @property
    def ended(self) -> str:
        """Return the output of the stack if it has ended by itself, else an empty string."""
        return self._running.output if self._running.process.poll() is not None else ""

    def plant(self, endpoint: str, fault: dict[str, object] | None) -> None:
        """Inject a fault into one endpoint of the lab; None removes it."""
        url = f"{self.lab}/_control/{urllib.parse.quote(endpoint)}"
        body = json.dumps(fault).encode() if fault else None
        urllib.request.urlopen(urllib.request.Request(url, body, method="POST" if fault else "DELETE"), timeout=10)

    def command(self, *arguments: str) -> str:
        """Run ``portolan`` with these arguments on the stack's data and return its output. Raises ``RuntimeError``."""
        done = portolan(*arguments, "--data-dir", str(self.lake.root), PORTOLAN_LAB_SPEED=f"{self.speed:g}")
        if done.returncode:
            raise RuntimeError(f"portolan {' '.join(arguments)}: {done.stderr}")
        return re.sub(r"\s+$", "", done.stdout)
