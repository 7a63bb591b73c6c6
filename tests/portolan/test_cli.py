"""Every command explains itself, and says in a sentence what is wrong with its arguments."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import free_port, portolan

COMMANDS = (
    "",
    "serve",
    "lab",
    "replay",
    "refresh",
    "import",
    "up",
    "demo-data",
    "why",
    "keys",
    "keys create",
    "keys list",
    "keys policy",
    "catalogue",
    "catalogue show",
    "policy",
    "policy promote",
)


@pytest.fixture(scope="module")
def taken() -> Iterator[str]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def refusal(*arguments: str, **environment: str) -> str:
    """The one line that says what is wrong."""
    answer = portolan(*arguments, **environment)
    assert answer.returncode == 2, answer
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    said = answer.stderr.strip().splitlines()
    assert all(line.startswith(("Usage: portolan", "Try 'portolan")) for line in said[:-1] if line), answer.stderr
    return said[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(command: str) -> None:
    answer = portolan(*command.split(), "--help")
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"Usage: portolan {command}".rstrip())
    assert "--help" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("sail", "No such command 'sail'"),
        ("serve --port 70000", "'--port'"),
        ("serve --port 0", "'--port'"),
        ("serve --workers 0", "'--workers'"),
        ("serve --host 256.1.1.1", "'--host'"),
        ("lab --time-scale -1", "'--time-scale'"),
        ("replay", "PORTOLAN_API_KEY"),
        ("up --traffic -1", "'--traffic'"),
        ("keys create", "'--name'"),
        ("policy show v1", "there is no policy v1"),
        ("policy promote v1", "'--why'"),
        ("policy promote v1 --why because", "there is no policy v1"),
        ("policy rollback --why because", "no learned policy serves"),
        ("policy diff v1 v2", "there is no policy v1"),
        ("catalogue show openai/gpt-oss-120", "openai/gpt-oss-120b"),
        ("catalogue show nonsense", "nonsense is not in the catalogue"),
        ("why gen-1-a", "gen-1-a is not in the log"),
        ("why gen-1-a --data-dir /nowhere", "'--data-dir'"),
    ],
)
def test_a_wrong_argument_is_named(arguments: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(*arguments.split(), PORTOLAN_DATA_DIR=str(tmp_path), PORTOLAN_API_KEY="")


def test_a_port_wanted_twice_is_named(tmp_path: Path) -> None:
    port, data = str(free_port()), str(tmp_path)
    both = ("--port", port, "--lab-port", port)
    assert "'--lab-port'" in refusal("up", "--lab", *both, "--no-dashboards", "--no-dagster", "--data-dir", data)


@pytest.mark.parametrize("name", ["", "   "])
def test_a_key_has_a_name(name: str, tmp_path: Path) -> None:
    assert "'--name'" in refusal("keys", "create", "--name", name, "--data-dir", str(tmp_path))


@pytest.mark.parametrize("command", ["serve", "serve --workers 2", "lab", "up --no-dashboards --no-dagster"])
def test_a_port_in_use_is_named(command: str, taken: str, tmp_path: Path) -> None:
    said = refusal(*command.split(), "--port", taken, PORTOLAN_DATA_DIR=str(tmp_path))
    assert f"127.0.0.1:{taken}" in said
    assert "in use" in said


@pytest.mark.parametrize("command", ["serve", "refresh", "up", "keys create --name x"])
def test_a_data_directory_that_is_a_file_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refusal(*command.split(), "--data-dir", str(tmp_path / "file"))
    assert "'--data-dir'" in said
    assert str(tmp_path / "file") in said


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    # Root writes anywhere, except where the kernel has the say.
    where = closed / "data" if os.getuid() else Path("/proc/portolan")
    assert str(where) in refusal("serve", "--port", str(free_port()), "--data-dir", str(where))


def test_a_wrong_setting_is_named_by_its_variable(tmp_path: Path) -> None:
    environment = {"PORTOLAN_DATA_DIR": str(tmp_path), "PORTOLAN_LEARNED_SHARE": "2"}
    said = refusal("serve", "--port", str(free_port()), **environment)
    assert "PORTOLAN_LEARNED_SHARE" in said
    assert "less than or equal to 1" in said
    environment = {"PORTOLAN_DATA_DIR": str(tmp_path), "PORTOLAN_CANARY_SHARES": "0.5,0.1"}
    assert "PORTOLAN_CANARY_SHARES must be rising numbers between 0 and 1" in refusal("refresh", **environment)
    environment = {"PORTOLAN_DATA_DIR": str(tmp_path), "PORTOLAN_LAB_SPEED": "none"}
    assert "PORTOLAN_LAB_SPEED must be a number from 1 to 100, not none" in refusal("refresh", **environment)


def test_a_key_is_printed_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    from router_service.admission.keys import hash_key

    printed = portolan("keys", "create", "--name", "mine", "--data-dir", str(tmp_path)).stdout
    key = printed.strip()
    assert printed == f"{key}\n"
    assert key.startswith("sk-or-v1-")
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert key.removeprefix("sk-or-v1-").encode() not in stored
    assert hash_key(key).encode() in stored


def test_a_models_endpoints_are_listed() -> None:
    lines = portolan("catalogue", "show", "openai/gpt-oss-120b").stdout.splitlines()
    assert lines[0].startswith("openai/gpt-oss-120b")
    assert any(line.split()[0] == "groq" and " per M" in line for line in lines[1:])
