"""Test providers of the operator's own through the running router: real servers on loopback, one file."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from data.catalogue import load_catalogue
from data.catalogue.configured import configured_catalogue
from data.catalogue.types import DataPolicy, Price
from router_service.configuration.mistakes import ConfigurationError
from tests.conftest import Stack, open_stack, serving
from tests.own_servers import OwnServer, ollama, vllm
from tests.running import free_port, until

HELLO = [{"role": "user", "content": "hi"}]


def written(folder: Path, text: str) -> Path:
    """Write ``portolan.toml`` in one step, as an editor does."""
    draft = folder / "draft"
    draft.write_text(text)
    return draft.replace(folder / "portolan.toml")


def own_provider(url: str, more: str = "", name: str = "mine") -> str:
    """Return the lines of a provider at ``url``."""
    return f'[providers.{name}]\nbase_url = "{url}/v1"\n{more}\n'


def asked(stack: Stack, model: str, **more: object) -> tuple[int, dict[str, object]]:
    """Send a chat request; return its status and body."""
    response = posted(stack, {"model": model, "messages": HELLO} | more)
    return response.status_code, response.json()


def posted(stack: Stack, body: dict[str, object]) -> httpx2.Response:
    """Send a chat request; return the complete response."""
    with stack.client as client:
        return client.post("/api/v1/chat/completions", json=body)


def test_a_vllm_takes_three_lines(tmp_path: Path) -> None:
    """Its models are read at the start: one joins the catalogue's model, the other is a model of the provider's own."""
    server = vllm("Qwen/Qwen3-32B", "support-7b")
    with serving(server.app()) as url:
        file = written(tmp_path, own_provider(url, 'dialect = "mistral"'))
        with open_stack(tmp_path / "data", config=file) as stack:
            status, body = asked(stack, "mine/support-7b", seed=3)
            assert (status, body["provider"]) == (200, "mine")
            assert server.keys == {"": 1}
            # The row that the file names holds, not the defaults.
            assert server.bodies[0]["random_seed"] == 3
            status, body = asked(stack, "qwen/qwen3-32b", provider={"only": ["mine"]})
            assert (status, body["provider"]) == (200, "mine")
            with stack.client as client:
                response = client.get("/api/v1/models/mine/support-7b/endpoints").json()
            assert response["data"]["endpoints"][0]["context_length"] == 32768
            streamed = posted(stack, {"model": "mine/support-7b", "messages": HELLO, "stream": True})
            assert "hello" in streamed.text
            server.always_streams = True
            whole = posted(stack, {"model": "mine/support-7b", "messages": HELLO}).json()
            assert (whole["choices"][0]["message"]["content"], whole["usage"]["prompt_tokens"]) == ("hello", 1000)
            # Dashboards and pipelines read the same catalogue.
            assert configured_catalogue(stack.lake) == stack.services.catalogue
            # The catalogue's providers are still those of the lab.
            assert asked(stack, "openai/gpt-oss-120b")[0] == 200
    with open_stack(tmp_path / "data") as stack:
        assert configured_catalogue(stack.lake) is load_catalogue()


def test_models_of_an_ollama_that_starts_later_are_found(tmp_path: Path) -> None:
    """A server that is down at the start does not stop the router, and is asked again."""
    port = free_port()
    file = written(tmp_path, own_provider(f"http://127.0.0.1:{port}"))
    server = ollama("mymodel:latest")
    with open_stack(tmp_path / "data", config=file) as stack:
        assert asked(stack, "mine/mymodel-latest")[0] in (400, 404)
        with serving(server.app(), port) as _:
            until(lambda: asked(stack, "mine/mymodel-latest")[0] == 200, "the models are read")
            assert asked(stack, "mine/mymodel:latest")[0] == 200
            until(lambda: "mine/mymodel-latest" in configured_catalogue(stack.lake).models, "the catalogue is written")


@pytest.mark.parametrize("rows", [[], [{"id": "x" * 300, "object": "model"}, {"id": "good"}]])
def test_an_odd_list_of_models_does_no_harm(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    """Names without bounds are left out; an empty list, which Ollama sends as null, is no models."""
    server = OwnServer(rows)
    with serving(server.app()) as url:
        with open_stack(tmp_path / "data", config=written(tmp_path, own_provider(url))) as stack:
            found = [name for name, offers in stack.services.endpoints.items() if name.startswith("mine/") and offers]
            assert found == (["mine/good"] if rows else [])


def test_a_list_that_is_too_large_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No more than a megabyte is read."""
    server = OwnServer([{"id": f"model-{number}-{'x' * 100}"} for number in range(20_000)])
    with serving(server.app()) as url:
        with open_stack(tmp_path / "data", config=written(tmp_path, own_provider(url))) as stack:
            assert not any(name.startswith("mine/") for name in stack.services.endpoints)
    assert "sent more than 1,048,576 bytes" in caplog.text


def test_endpoints_models_prices_and_aliases_of_the_file(tmp_path: Path) -> None:
    """A request is billed at the file's decimal price, to the nano-USD, and the policy of the provider holds."""
    server = vllm("support-7b-awq")
    more = """
key = "secret"
headers = { X-Team = "blue" }
region = "de"
data_policy = { trains = false, retains = false }
[models."acme/support-7b"]
name = "Acme Support 7B"
context_length = 8192
[[endpoints]]
provider = "mine"
model = "acme/support-7b"
upstream_model = "support-7b-awq"
quantization = "int4"
price = { prompt = 0.1, completion = 0.123456789, cache_read = 0.01 }
supported_parameters = ["temperature", "max_tokens"]
[aliases]
support = "acme/support-7b"
cheap = "openai/gpt-oss-120b"
[prices."groq:openai/gpt-oss-120b"]
prompt = 1
completion = 2.5
[discounts]
groq = 0.2
mine = 0.1
[catalogue]
disabled = ["deepinfra"]
[settings]
stall_timeout = 12.5
max_body_bytes = 5000
"""
    with serving(server.app()) as url:
        file = written(tmp_path, own_provider(url, more))
        with open_stack(tmp_path / "data", config=file, keepalive_interval=0.7) as stack:
            status, body = asked(stack, "support", provider={"zdr": True})
            assert status == 200, body
            # 1000 × 0.1 and 100 × 0.123456789 USD per million, less a tenth, each rounded to the nano-USD.
            assert body["usage"]["cost"] == (90_000 + 11_111) / 1e9
            assert server.keys == {"secret": 1}
            assert server.headers["x-team"] == "blue"
            (endpoint,) = stack.services.endpoints["acme/support-7b"]
            assert endpoint.price == Price(90_000_000, 111_111_110, 9_000_000, None)
            assert (endpoint.tag, endpoint.region, endpoint.context_length) == ("mine/int4", "de", 8192)
            assert endpoint.data_policy == DataPolicy(False, False)
            assert endpoint.supported_parameters == {"temperature", "max_tokens"}
            offers = {e.provider: e for e in stack.services.endpoints["openai/gpt-oss-120b"]}
            assert offers["groq"].price is not None
            assert (offers["groq"].price.prompt, offers["groq"].price.completion) == (800_000_000, 2_000_000_000)
            assert "deepinfra" not in offers
            assert asked(stack, "cheap")[0] == 200
            # The file's settings hold where neither the environment nor the caller has set them.
            assert stack.services.timeouts.stall_s == 12.5
            assert stack.services.keepalive_interval_s == 0.7
            assert asked(stack, "support", user="x" * 5000)[0] == 413


@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_refused_key_is_replaced_within_the_request(
    tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client sees nothing; the key is not used again for now, and the endpoint counts no failure."""
    monkeypatch.setenv("FIRST", "one")
    monkeypatch.setenv("SECOND", "two")
    server = vllm("m")
    server.refused["one"] = status
    with serving(server.app()) as url:
        file = written(tmp_path, own_provider(url, 'key_env = ["FIRST", "SECOND"]'))
        with open_stack(tmp_path / "data", config=file) as stack:
            for stream in (False, True, False, True):
                response = posted(stack, {"model": "mine/m", "messages": HELLO, "stream": stream})
                assert (response.status_code, "hello" in response.text) == (200, True)
            assert server.keys == {"one": 1, "two": 4}
            server.refused["two"] = status
            assert asked(stack, "mine/m")[0] != 200


def test_keys_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key of several gets its share."""
    monkeypatch.setenv("FIRST", "one")
    monkeypatch.setenv("SECOND", "two")
    server = vllm("m")
    with serving(server.app()) as url:
        file = written(tmp_path, own_provider(url, 'key_env = ["FIRST", "SECOND"]'))
        with open_stack(tmp_path / "data", config=file) as stack:
            assert {asked(stack, "mine/m")[0] for _ in range(6)} == {200}
    assert server.keys == {"one": 3, "two": 3}


def test_a_changed_file_is_taken_over_under_load(tmp_path: Path) -> None:
    """No request fails while the provider moves from one server to another and back, and its key with it."""
    first, second = vllm("m", text="first"), vllm("m", text="second")
    first.refused["key-b"] = second.refused["key-a"] = 401
    with serving(first.app()) as url_a, serving(second.app()) as url_b:
        a, b = own_provider(url_a, 'key = "key-a"'), own_provider(url_b, 'key = "key-b"')
        file = written(tmp_path, a)
        over = threading.Event()

        def send(number: int, stack: Stack) -> list[int]:
            found = []
            with stack.client as client:
                while not over.is_set():
                    body = {"model": "mine/m", "messages": HELLO, "stream": bool(number % 2)}
                    response = client.post("/api/v1/chat/completions", json=body)
                    text = response.text
                    found.append(response.status_code if "first" in text or "second" in text else 0)
            return found

        with open_stack(tmp_path / "data", config=file) as stack, ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(send, number, stack) for number in range(4)]
            try:
                until(lambda: first.keys["key-a"] > 20, "the first server is called")
                for text, server in ((b, second), (a, first), (b, second)):
                    before = server.keys.total()
                    written(tmp_path, text)
                    until(lambda s=server, n=before: s.keys.total() > n + 20, "the other server is called")
            finally:
                over.set()
            statuses = [status for run in runs for status in run.result(120)]
    assert set(statuses) == {200}
    assert set(first.keys) == {"key-a"}
    assert set(second.keys) == {"key-b"}


def test_an_invalid_change_is_refused_and_the_last_good_file_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names line and column; the next valid file is taken over, settings and aliases too."""
    server = vllm("m")
    with serving(server.app()) as url:
        good = own_provider(url)
        file = written(tmp_path, good)
        with open_stack(tmp_path / "data", config=file) as stack:
            written(tmp_path, good + '[aliases]\nshort = "mine/n"\n[discount]\nmine = 0.1\n')
            until(lambda: "is refused" in caplog.text, "the file is refused")
            assert f"{file}:6:2: discount is no table that exists here. Did you mean discounts?" in caplog.text
            assert asked(stack, "mine/m")[0] == 200
            settings = '[settings]\nmax_body_bytes = 900\nlog_sync = "never"\n'
            written(tmp_path, f'{good}[aliases]\nshort = "mine/m"\n{settings}')
            until(lambda: asked(stack, "short")[0] == 200, "the valid file is in force")
            assert asked(stack, "short", user="x" * 1000)[0] == 413
            assert "changed settings that take effect at the next start: log_sync" in caplog.text
            file.unlink()
            until(lambda: "the file cannot be read" in caplog.text, "the missing file is reported")
            assert asked(stack, "short")[0] == 200


def test_the_router_does_not_start_with_a_wrong_name(tmp_path: Path) -> None:
    """A misspelt provider in the file or in ``PORTOLAN_PROVIDER_URLS`` would send traffic to the real one."""
    with pytest.raises(ConfigurationError, match=r"provider_urls: mistrl is no provider\. Did you mean mistral\?"):
        with open_stack(tmp_path / "data", provider_urls={"mistrl": "http://127.0.0.1:1"}):
            pass
    file = written(tmp_path, '[providers.grok]\nkey_env = "GROQ"\n')
    with pytest.raises(ConfigurationError, match=r"portolan\.toml:1:12: providers\.grok .* Did you mean groq\?"):
        with open_stack(tmp_path / "data", config=file):
            pass


def test_a_key_reaches_the_vendor_of_its_variable_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The regional twin is called only where the file or its own variable names a key for it (case 43)."""
    monkeypatch.setenv("MOONSHOT_API_KEY", "international")
    both = vllm("kimi-k2.5")
    with serving(both.app()) as url:
        urls = json.dumps({"moonshotai": f"{url}/v1", "moonshotai-cn": f"{url}/v1"})
        monkeypatch.setenv("PORTOLAN_PROVIDER_URLS", urls)
        with open_stack(tmp_path / "a", lab_url=None) as stack:
            assert {e.provider for e in stack.services.endpoints["moonshotai/kimi-k2.5"]} == {"moonshotai"}
        file = written(tmp_path, '[providers.moonshotai-cn]\nkey = "domestic"\n')
        with open_stack(tmp_path / "b", lab_url=None, config=file) as stack:
            for provider in ("moonshotai", "moonshotai-cn"):
                assert asked(stack, "moonshotai/kimi-k2.5", provider={"only": [provider]})[0] == 200
    assert both.keys == {"international": 1, "domestic": 1}
