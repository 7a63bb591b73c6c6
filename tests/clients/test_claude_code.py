"""Test Claude Code, a coding agent, against the messages API without a person at the keyboard."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.proxy import ProxyRecorder
from tests.clients.served import ServedModel, asking, calling

pytestmark = [pytest.mark.slow, pytest.mark.client("@anthropic-ai/claude-code")]
LAUNCHER = "node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs"
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True)
class ClaudeCode:
    """Run Claude Code for ``served``, in ``folder``."""

    node: NodeClients
    served: ServedModel
    proxy: ProxyRecorder
    folder: Path

    def ask(self, prompt: str, *flags: str, key_variable: str = "ANTHROPIC_API_KEY") -> dict[str, Any]:
        """Return what it reports about the work on ``prompt``."""
        variables = (
            QUIET
            | self.proxy.environment()
            | {
                "ANTHROPIC_BASE_URL": self.served.stack.url,
                "ANTHROPIC_MODEL": self.served.model,
                key_variable: self.served.stack.key,
            }
        )
        flags = ("--output-format", "json", "--permission-mode", "acceptEdits", *flags)
        report: dict[str, Any] = self.node.run(LAUNCHER, "-p", prompt, *flags, cwd=self.folder, **variables)
        assert (report["type"], report["subtype"], report["is_error"]) == ("result", "success", False), report
        assert list(report["modelUsage"]) == [self.served.model]
        return report


@pytest.fixture
def claude_code(node: NodeClients, served: ServedModel, proxy: ProxyRecorder, tmp_path: Path) -> ClaudeCode:
    """Return what runs Claude Code in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return ClaudeCode(node, served, proxy, folder)


@pytest.mark.parametrize("key_variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_prompt_is_answered(claude_code: ClaudeCode, key_variable: str) -> None:
    report = claude_code.ask(asking("text"), key_variable=key_variable)
    assert report["result"] and report["num_turns"] == 1 and report["stop_reason"] == "end_turn"
    usage = report["usage"]
    assert usage["output_tokens"] > 0
    assert (usage["output_tokens_details"]["thinking_tokens"] > 0) == claude_code.served.shows_thinking


def test_files_are_read_edited_and_written(claude_code: ClaudeCode) -> None:
    """Each turn sends back the calls before it, and the thinking with its signature."""
    tide, log = claude_code.folder / "tide.txt", claude_code.folder / "log.txt"
    tide.write_text("The bell rings at five.\n")
    report = claude_code.ask(
        calling(
            ("Read", {"file_path": str(tide)}),
            ("Edit", {"file_path": str(tide), "old_string": "five", "new_string": "six"}),
            ("Write", {"file_path": str(log), "content": "Corrected.\n"}),
            ("Bash", {"command": f"cat {tide}", "description": "Show the file"}),
        )
    )
    assert tide.read_text() == "The bell rings at six.\n"
    assert log.read_text() == "Corrected.\n"
    assert report["num_turns"] == 5 and not report["permission_denials"]
    assert report["result"].count("The bell rings at six.") == 1
    assert sum(claude_code.served.stack.lab.calls.values()) == 5


def test_a_picture_is_read(claude_code: ClaudeCode) -> None:
    """A tool result with an image is a turn of the user in chat completions."""
    chart = claude_code.folder / "chart.png"
    chart.write_bytes(pixel())
    report = claude_code.ask(calling(("Read", {"file_path": str(chart)})))
    assert report["num_turns"] == 2 and report["stop_reason"] == "end_turn"


def test_a_session_is_continued(claude_code: ClaudeCode) -> None:
    tide = claude_code.folder / "tide.txt"
    tide.write_text("The bell rings at five.\n")
    first = claude_code.ask(calling(("Read", {"file_path": str(tide)})))
    second = claude_code.ask(asking("text"), "--resume", first["session_id"])
    assert second["result"] and second["session_id"] == first["session_id"]


def pixel() -> bytes:
    """Return a PNG image of one white pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (1).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes([0, 255, 255, 255]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
