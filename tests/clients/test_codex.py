"""Test Codex, a coding agent, against the responses API without a person at the keyboard."""

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

pytestmark = [pytest.mark.slow, pytest.mark.client("@openai/codex")]
LAUNCHER = "node_modules/@openai/codex/bin/codex.js"
PATCH = """apply_patch <<EOF
*** Begin Patch
*** Update File: tide.txt
@@
-The bell rings at five.
+The bell rings at six.
*** Add File: log.txt
+Corrected.
*** End Patch
EOF"""
CONFIGURATION = """
model = "{model}"
model_provider = "portolan"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
remote_plugin = false
apps = false
[model_providers.portolan]
name = "Portolan"
base_url = "{url}/api/v1"
env_key = "PORTOLAN_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


@dataclass(frozen=True)
class Codex:
    """Run Codex for ``served``, in ``folder``."""

    node: NodeClients
    served: ServedModel
    proxy: ProxyRecorder
    folder: Path

    def ask(self, prompt: str, *resumed: str) -> list[dict[str, Any]]:
        """Return the items that it finished in the work on ``prompt``, ``resumed`` in an earlier session."""
        home = self.node.home / ".codex"
        home.mkdir(parents=True, exist_ok=True)
        (home / "config.toml").write_text(CONFIGURATION.format(model=self.served.model, url=self.served.stack.url))
        variables = self.proxy.environment() | {"PORTOLAN_KEY": self.served.stack.key, "CODEX_HOME": str(home)}
        command = ["node", self.node.folder / LAUNCHER, "exec", *resumed, "--skip-git-repo-check", "--json", prompt]
        done = run_program(command, self.node.home, variables, self.folder)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert events[-1]["type"] == "turn.completed", events[-1]
        assert events[-1]["usage"]["output_tokens"] > 0
        return [event["item"] for event in events if event["type"] == "item.completed"]


@pytest.fixture
def codex(node: NodeClients, served_responses: ServedModel, proxy: ProxyRecorder, tmp_path: Path) -> Codex:
    """Return what runs Codex in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Codex(node, served_responses, proxy, folder)


def said(items: list[dict[str, Any]]) -> str:
    """Return the last message of the agent."""
    return str([item["text"] for item in items if item["type"] == "agent_message"][-1])


def test_a_prompt_is_answered(codex: Codex) -> None:
    """Its hosted tools and its notes about the session cost no format an answer."""
    items = codex.ask(asking("text"))
    assert said(items)
    # The chat completions of OpenAI have no field for reasoning, and Claude is asked for none here.
    reasons = codex.served.wire_format == "openai_responses"
    assert any(item["type"] == "reasoning" for item in items) == reasons


def test_files_are_read_edited_and_written(codex: Codex) -> None:
    """Each turn sends back the calls before it, and the reasoning with its encrypted text."""
    tide, log = codex.folder / "tide.txt", codex.folder / "log.txt"
    tide.write_text("The bell rings at five.\n")
    commands = ("cat tide.txt", PATCH, "cat tide.txt")
    items = codex.ask(calling(*(("exec_command", {"cmd": command}) for command in commands)))
    assert tide.read_text() == "The bell rings at six.\n"
    assert log.read_text() == "Corrected.\n"
    assert [item["type"] for item in items if item["type"] in ("command_execution", "file_change")] == [
        "command_execution",
        "file_change",
        "command_execution",
    ]
    assert "The bell rings at six." in said(items)
    assert sum(codex.served.stack.lab.calls.values()) == 4


def test_a_session_is_continued(codex: Codex) -> None:
    (codex.folder / "tide.txt").write_text("The bell rings at five.\n")
    codex.ask(calling(("exec_command", {"cmd": "cat tide.txt"})))
    assert said(codex.ask(asking("text"), "resume", "--last"))
