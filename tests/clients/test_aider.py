"""Test aider, which edits files by the text of an answer, against chat completions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.python_clients import open_client
from tests.clients.served import ServedModel, saying

pytestmark = [pytest.mark.slow, pytest.mark.client("aider")]
EDIT = """I correct the hour.

tide.txt
```
<<<<<<< SEARCH
The bell rings at five.
=======
The bell rings at six.
>>>>>>> REPLACE
```
"""
OPTIONS = (
    "--edit-format=diff",
    "--yes-always",
    "--no-analytics",
    "--no-check-update",
    "--no-show-release-notes",
    "--no-show-model-warnings",
    "--no-gitignore",
    "--no-pretty",
)


def git(folder: Path, *arguments: str) -> str:
    """Return what git says in ``folder``."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
def test_an_edit_is_applied_and_committed(served: ServedModel, tmp_path: Path, way: str) -> None:
    client = open_client("aider", tmp_path / "home")
    folder = tmp_path / "work"
    folder.mkdir()
    tide = folder / "tide.txt"
    tide.write_text("The tide turns.\nThe bell rings at five.\n")
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "Pilot")
    git(folder, "config", "user.email", "pilot@harbour.example")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "harbour: note the tide")
    variables = {
        "OPENAI_API_BASE": f"{served.stack.url}/api/v1",
        "OPENAI_API_KEY": served.stack.key,
        # Prices and limits of models would be read from the Internet, through a proxy that is not there.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }
    model = f"--model=openai/{served.model}"
    client.start("-m", "aider", model, way, *OPTIONS, "--message", saying(EDIT), tide.name, cwd=folder, **variables)
    assert tide.read_text() == "The tide turns.\nThe bell rings at six.\n"
    assert "+The bell rings at six." in git(folder, "show", "HEAD")
    assert git(folder, "rev-list", "--count", "HEAD").strip() == "2"
    assert "Co-authored-by: aider" in git(folder, "log", "-1", "--format=%B")
