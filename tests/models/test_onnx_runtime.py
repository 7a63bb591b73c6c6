"""Test that onnxruntime, which reports its use to its vendor unless it is told not to, is told so in time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# Imports a module, and prints what onnxruntime finds in the environment when it is imported.
WATCHED = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
"""
# Loads a classifier and goes on.
LOADED = """
import sys, time
from pathlib import Path
from models.categories.classify import load_classifier
load_classifier(Path(sys.argv[1]))
time.sleep(float(sys.argv[2]))
"""
REPORTED_AFTER_S = 20


@pytest.mark.parametrize(
    "module", ["router_service.app", "models.categories.train", "models.selection.training.export"]
)
def test_it_is_told_before_it_is_imported(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-W", "ignore", "-c", WATCHED, module]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert set(done.stdout.split()) == {"1"}


@pytest.mark.slow
def test_it_calls_nobody(tmp_path: Path) -> None:
    """Told when it was imported already, it called its vendor after 12 seconds, through the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(REPORTED_AFTER_S)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environment = os.environ | dict.fromkeys(("all_proxy", "https_proxy", "HTTPS_PROXY"), address)
        command = [sys.executable, "-W", "ignore", "-c", LOADED, str(tmp_path), str(REPORTED_AFTER_S)]
        with subprocess.Popen(command, env=environment) as process:
            with pytest.raises(TimeoutError):
                proxy.accept()
            assert process.wait(60) == 0
