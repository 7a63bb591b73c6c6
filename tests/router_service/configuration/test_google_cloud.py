"""Test that a project of Google Cloud in the file is called at its address, with tokens of its service account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from data.catalogue import load_catalogue
from lab.embeddings import unit_vector
from lab.server import Lab, create_app
from router_service.configuration.google_cloud import vertex_address
from router_service.configuration.market import make_market
from router_service.configuration.mistakes import ConfigurationError
from router_service.configuration.read_file import read_configuration
from router_service.settings import Settings
from tests.conftest import open_stack, serving
from tests.router_service.providers.test_google_token import EMAIL, key_file

VERTEX = "providers.google-vertex"


def written(folder: Path, text: str) -> Path:
    """Return a configuration file with ``text``."""
    path = folder / "portolan.toml"
    path.write_text(text)
    return path


def key_at(folder: Path, **changed: object) -> str:
    """Return the name of a key file."""
    path = folder / "key.json"
    path.write_bytes(key_file(**changed))
    return str(path)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_the_address_has_project_and_location(tmp_path: Path, location: str, host: str) -> None:
    """Gemini models of Vertex AI can be called then, and those of other authors cannot."""
    text = f'[{VERTEX}]\nproject = "harbour"\nlocation = "{location}"\nservice_account = "{key_at(tmp_path)}"\n'
    catalogue = load_catalogue()
    settings = Settings(data_dir=tmp_path)
    market = make_market(catalogue, read_configuration(written(tmp_path, text), catalogue), settings)
    found = [e for offers in market.endpoints.values() for e in offers if e.provider == "google-vertex"]
    address = f"https://{host}/v1/projects/harbour/locations/{location}/publishers/google"
    assert {(e.wire_format, e.base_url) for e in found} == {("gemini", address)}
    assert address == vertex_address("harbour", location)
    assert any(e.model == "google/gemini-2.5-pro" for e in found)
    accounts = [account for at, account in market.accounts.items() if at.provider == "google-vertex"]
    assert [repr(account.service_account) for account in accounts] == [f"ServiceAccount({EMAIL!r})"]


def test_the_environment_may_name_the_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an account nothing of the project can be called."""
    catalogue = load_catalogue()
    read = read_configuration(written(tmp_path, f'[{VERTEX}]\nproject = "harbour"\n'), catalogue)
    for name, works in (("", False), (str(tmp_path / "none.json"), False), (key_at(tmp_path), True)):
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", name)
        market = make_market(catalogue, read, Settings(data_dir=tmp_path))
        assert any(at.provider == "google-vertex" for at in market.accounts) is works


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"[{VERTEX}]\nname = 'Vertex'\n", "needs project or base_url: the catalogue has no address for it"),
        (f"[{VERTEX}]\nproject = 'harbour'\nservice_account = 'none.json'\n", "names a file that cannot be read"),
        (f"[{VERTEX}]\nproject = 'harbour'\nservice_account = 7\n", "must be the name of a key file"),
        (f"[{VERTEX}]\nproject = 'har/bour'\n", "project"),
        (f"[{VERTEX}]\nproject = 'harbour'\nlocation = 'a.b'\n", "location"),
        ("[providers.google]\nservice_account = 'KEY'\n", "is for a project of Google Cloud; write project"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, words: str) -> None:
    """Explain each mistake in a sentence, with its place in the file."""
    path = written(tmp_path, text.replace("KEY", key_at(tmp_path)))
    with pytest.raises(ConfigurationError, match=words):
        read_configuration(path, load_catalogue())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_request_goes_to_the_project_with_a_token(tmp_path: Path, stream: bool) -> None:
    """The lab takes the tokens of its own address alone, and refuses what Vertex AI refuses."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as vertex:
        address = f"{vertex}/google-vertex/v1/projects/harbour/locations/europe-west1/publishers/google"
        account = key_at(tmp_path, token_uri=f"{vertex}/_google/token")
        text = f'[{VERTEX}]\nproject = "harbour"\nlocation = "europe-west1"\nservice_account = "{account}"\n'
        file = written(tmp_path, text + f'base_url = "{address}"\n')
        with open_stack(tmp_path / "data", config=file) as stack:
            body: dict[str, Any] = {
                "model": "google/gemini-3-flash-preview",
                "messages": [{"role": "user", "content": "Hello! [lab:scenario=text]"}],
                "provider": {"only": ["google-vertex"]},
                "stream": stream,
            }
            headers = {"authorization": f"Bearer {stack.key}"}
            for _ in range(2):
                answer = httpx2.post(f"{stack.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
                assert answer.status_code == 200, answer.text
                assert '"provider":"Vertex"' in answer.text
            embedding = {"model": "google/gemini-embedding-001", "input": ["a", "b"], "provider": body["provider"]}
            answer = httpx2.post(f"{stack.url}/v1/embeddings", json=embedding, headers=headers, timeout=60)
            assert [one["embedding"] for one in answer.json()["data"]] == [unit_vector(one, 3072) for one in "ab"]
        counts = httpx2.get(f"{vertex}/_log").json()
        assert counts["calls"] == {"google-vertex:gemini-3-flash-preview": 2, "google-vertex:gemini-embedding-001": 1}
        assert not counts["refused"]


def test_the_compatible_address_can_be_chosen(tmp_path: Path) -> None:
    """Google's OpenAI-compatible address takes two lines of the file."""
    compatible = "https://generativelanguage.googleapis.com/v1beta/openai"
    text = f'[providers.google]\nwire_format = "openai_chat"\nbase_url = "{compatible}"\nkey = "AIza"\n'
    catalogue = load_catalogue()
    market = make_market(catalogue, read_configuration(written(tmp_path, text), catalogue), Settings(data_dir=tmp_path))
    found = [e for offers in market.endpoints.values() for e in offers if e.provider == "google"]
    assert {(e.wire_format, e.base_url) for e in found} == {("openai_chat", compatible)}
