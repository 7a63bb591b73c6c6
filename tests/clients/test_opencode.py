"""Test opencode, a coding agent, against chat completions without a person at the keyboard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.programs import run_program
from tests.clients.proxy import ProxyRecorder
from tests.clients.served import ServedModel, asking, calling

pytestmark = [pytest.mark.slow, pytest.mark.client("opencode")]
PROGRAM = "node_modules/opencode-linux-x64/bin/opencode"
QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    # It looks for the package of its plugin API at every start, and goes on without it: nothing listens here.
    "NPM_CONFIG_REGISTRY": "http://127.0.0.1:9/",
}


@dataclass(frozen=True)
class Opencode:
    """Run opencode for ``served``, in ``folder``."""

    node: NodeClients
    served: ServedModel
    proxy: ProxyRecorder
    folder: Path

    def ask(self, prompt: str) -> list[dict[str, Any]]:
        """Return the events of the work on ``prompt``."""
        config = self.folder.parent / "opencode.json"
        config.write_text(json.dumps(self._configuration()))
        variables = QUIET | self.proxy.environment() | {"OPENCODE_CONFIG": str(config)}
        command = [self.node.folder / PROGRAM, "run", "--format", "json", prompt]
        done = run_program(command, self.node.home, variables, self.folder)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def _configuration(self) -> dict[str, Any]:
        model = f"portolan/{self.served.model}"
        limits = {"context": 128_000, "output": 8_000}
        return {
            "autoupdate": False,
            "share": "disabled",
            "enabled_providers": ["portolan"],
            "model": model,
            "small_model": model,
            "permission": {"edit": "allow", "bash": "allow", "external_directory": "allow"},
            "provider": {
                "portolan": {
                    "npm": "@ai-sdk/openai-compatible",
                    "options": {"baseURL": f"{self.served.stack.url}/api/v1", "apiKey": self.served.stack.key},
                    "models": {self.served.model: {"limit": limits}},
                }
            },
        }


@pytest.fixture
def opencode(node: NodeClients, served: ServedModel, proxy: ProxyRecorder, tmp_path: Path) -> Opencode:
    """Return what runs opencode in an empty folder. Skips the test where its package has no program."""
    if not (node.folder / PROGRAM).exists():
        pytest.skip("The pinned package of opencode is for Linux on x64 alone")
    folder = tmp_path / "work"
    folder.mkdir()
    return Opencode(node, served, proxy, folder)


def test_a_prompt_is_answered(opencode: Opencode) -> None:
    events = opencode.ask(asking("text"))
    assert [event["type"] for event in events if event["type"] != "step_start"] == ["text", "step_finish"]


# opencode offers a tool for patches to models of OpenAI, and tools for edits and new files to others.
PATCH = """*** Begin Patch
*** Update File: {tide}
@@
-The bell rings at five.
+The bell rings at six.
*** Add File: {log}
+Corrected.
*** End Patch"""


def changes(opencode: Opencode, tide: Path, log: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls that correct ``tide`` and write ``log``."""
    if opencode.served.wire_format == "openai_chat":
        return [("apply_patch", {"patchText": PATCH.format(tide=tide.name, log=log.name)})]
    return [
        ("edit", {"filePath": str(tide), "oldString": "five", "newString": "six"}),
        ("write", {"filePath": str(log), "content": "Corrected.\n"}),
    ]


def test_files_are_read_edited_and_written(opencode: Opencode) -> None:
    """Each turn sends back the calls before it and their results."""
    tide, log = opencode.folder / "tide.txt", opencode.folder / "log.txt"
    tide.write_text("The bell rings at five.\n")
    calls = [
        ("read", {"filePath": str(tide)}),
        *changes(opencode, tide, log),
        ("bash", {"command": f"cat {tide}", "description": "Show the file"}),
    ]
    events = opencode.ask(calling(*calls))
    assert tide.read_text() == "The bell rings at six.\n"
    assert log.read_text() == "Corrected.\n"
    used = [event["part"] for event in events if event["type"] == "tool_use"]
    assert [(part["tool"], part["state"]["status"]) for part in used] == [(name, "completed") for name, _ in calls]
    assert "The bell rings at six." in [event["part"]["text"] for event in events if event["type"] == "text"][-1]
