"""Test ``portolan config`` and ``portolan provider test`` as an operator runs them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from lab.server import Lab, create_app
from tests.conftest import serving
from tests.own_servers import vllm
from tests.running import ROOT, Running, free_port, portolan

GOLDEN = ROOT / "tests" / "fixtures" / "configuration"
# No key of the machine that runs the tests may reach a provider.
NO_KEYS = {"PORTOLAN_CONFIG": "", "PORTOLAN_LAB_URL": "", "GROQ_API_KEY": "", "OPENAI_API_KEY": ""}


def written(folder: Path, text: str) -> str:
    """Write ``portolan.toml`` to ``folder``; return its path."""
    path = folder / "portolan.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["structure", "names"])
def test_check_prints_every_mistake(name: str) -> None:
    """The file, line and column come first, so that an editor can jump there."""
    path = GOLDEN / f"{name}.toml"
    answer = portolan("config", "check", str(path), **NO_KEYS)
    assert answer.returncode == 1
    assert answer.stderr.replace(f"{GOLDEN}/", "") == (GOLDEN / f"{name}.txt").read_text()


def test_check_finds_the_file_and_remarks_on_keys(tmp_path: Path) -> None:
    """A valid file is said to be valid; a key in it, or a variable that is not set, is remarked on."""
    text = '[providers.mine]\nbase_url = "http://gpu/v1"\nkey = "sk-1"\n[providers.groq]\nkey_env = "NOT_SET_HERE"\n'
    path = written(tmp_path, text)
    answer = portolan("config", "check", PORTOLAN_DATA_DIR=str(tmp_path), **NO_KEYS)
    named = portolan("config", "check", "--config", str(tmp_path / "portolan.toml"), **NO_KEYS)
    assert (named.returncode, named.stdout) == (answer.returncode, answer.stdout)
    assert answer.stdout.splitlines() == [
        f"{path}:3: the file holds a key of mine; key_env with a variable's name keeps it out",
        f"{path}:4: NOT_SET_HERE is not set in this environment, so that groq has one key less",
        f"{path}:4: groq has no key and is not called",
        f"{path} is valid",
    ]
    empty = portolan("config", "check", PORTOLAN_DATA_DIR=str(tmp_path / "empty"), **NO_KEYS)
    assert (empty.returncode, "nothing to check" in empty.stdout) == (0, True)
    missing = portolan("config", "check", str(tmp_path / "missing.toml"), **NO_KEYS)
    assert missing.stderr == f"{tmp_path}/missing.toml: the file cannot be read: No such file or directory\n"


def test_an_account_of_amazon_is_shown_without_its_secret(tmp_path: Path) -> None:
    """A signed provider misses no key; an access key in the file is remarked on."""
    text = '[providers.amazon-bedrock.aws]\nregion = "us-east-1"\n'
    path = written(tmp_path, text)
    keys = {"AWS_ACCESS_KEY_ID": "AKIDSHIP", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_BEARER_TOKEN_BEDROCK": ""}
    assert portolan("config", "check", path, **NO_KEYS, **keys).stdout == f"{path} is valid\n"
    shown = portolan("config", "show", **NO_KEYS | {"PORTOLAN_CONFIG": path}, **keys).stdout
    assert "https://bedrock-runtime.us-east-1.amazonaws.com  bedrock_converse" in shown
    assert "signed with access key AKIDSHIP for us-east-1" in shown and "hush" not in shown
    written(tmp_path, text + 'access_key_id = "AKIDFILE"\nsecret_access_key = "hush"\n')
    remarked = portolan("config", "check", path, **NO_KEYS, **keys).stdout
    assert "the file holds an access key of amazon-bedrock" in remarked and "hush" not in remarked


def test_show_names_the_source_of_each_value_and_no_secret(tmp_path: Path) -> None:
    """The environment wins over the file, the file over the default."""
    path = written(
        tmp_path,
        """\
[settings]
ttft_timeout = 20
strategy = "exacto"
valkey_url = "redis://user:hush@127.0.0.1:6379"
provider_urls = { groq = "http://user:hush@127.0.0.1:9/v1" }
[providers.mine]
base_url = "http://127.0.0.1:9/v1"
key_env = ["MINE_1", "MINE_2"]
headers = { x-team = "hush" }
[aliases]
fast = "openai/gpt-oss-120b"
[discounts]
groq = 0.2
[catalogue]
disabled = ["deepinfra"]
""",
    )
    environment = NO_KEYS | {"PORTOLAN_STRATEGY": "price", "MINE_1": "hush", "GROQ_API_KEY": "hush"}
    answer = portolan("config", "show", "--config", path, PORTOLAN_DATA_DIR=str(tmp_path), **environment)
    assert answer.returncode == 0, answer.stderr
    assert "hush" not in answer.stdout
    lines = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert f"ttft_timeout 20.0 ({path}:2)" in lines
    assert 'strategy "price" (PORTOLAN_STRATEGY)' in lines
    assert f"valkey_url ******** ({path}:4)" in lines
    assert "connect_timeout 5.0 (default)" in lines
    assert f"mine http://127.0.0.1:9/v1 openai_chat ({path}:6)" in lines
    assert "key: MINE_1 ********, MINE_2 is not set" in lines
    assert "models are read from http://127.0.0.1:9/v1/models" in lines
    assert "key: GROQ_API_KEY ********" in lines
    assert f"fast = openai/gpt-oss-120b ({path}:11)" in lines
    assert f"groq = 0.2 ({path}:13)" in lines
    assert f"catalogue providers disabled: deepinfra ({path}:15)" in lines


@pytest.mark.parametrize("command", ["serve", "up --no-dashboards --no-dagster", "config show", "provider test groq"])
def test_nothing_starts_with_a_mistake(command: str, tmp_path: Path) -> None:
    """One sentence says what is wrong with the file, or with the variable that names a provider (case 44)."""
    path = written(tmp_path, "[discount]\ngroq = 0.1\n")
    where = {"PORTOLAN_DATA_DIR": str(tmp_path / "data")} | NO_KEYS
    answer = portolan(*command.split(), "--config", path, **where)
    assert answer.returncode == 2
    assert f"{path}:1:2: discount is no table that exists here. Did you mean discounts?" in answer.stderr
    urls = json.dumps({"mistrl": "http://127.0.0.1:9"})
    answer = portolan(*command.split(), **where, PORTOLAN_PROVIDER_URLS=urls)
    assert answer.returncode == 2
    assert "provider_urls: mistrl is no provider. Did you mean mistral?" in answer.stderr
    answer = portolan(*command.split(), "--config", str(tmp_path / "none.toml"), **where)
    assert f"{tmp_path}/none.toml is no file" in answer.stderr


def test_serve_finds_the_file_and_its_data_directory(tmp_path: Path) -> None:
    """Every worker serves what the file says, and ``keys create`` writes where the router reads."""
    server = vllm("m")
    with serving(server.app()) as url:
        text = f'[providers.mine]\nbase_url = "{url}/v1"\n[settings]\ndata_dir = "{tmp_path}/lake"\n'
        variables = NO_KEYS | {"PORTOLAN_CONFIG": written(tmp_path, text), "PORTOLAN_DATA_DIR": ""}
        key = portolan("keys", "create", "--name", "a", **variables).stdout.strip()
        assert (tmp_path / "lake").is_dir()
        port = free_port()
        with Running(tmp_path / "output", "serve", "--workers", "2", "--port", str(port), **variables) as router:
            router.ready(f"http://127.0.0.1:{port}/health")
            body = {"model": "mine/m", "messages": [{"role": "user", "content": "hi"}]}
            for _ in range(4):
                answer = httpx2.post(
                    f"http://127.0.0.1:{port}/v1/chat/completions",
                    json=body,
                    headers={"authorization": f"Bearer {key}"},
                    timeout=60,
                )
                assert answer.status_code == 200, answer.text
            assert router.end() == 0


def test_the_catalogue_shows_what_the_file_adds_and_changes(tmp_path: Path) -> None:
    """A model of the operator's own is there with the file, and unknown without it."""
    text = """
    [providers.mine]
    base_url = "http://127.0.0.1:9/v1"
    [models."acme/support-7b"]
    context_length = 8192
    [[endpoints]]
    provider = "mine"
    model = "acme/support-7b"
    upstream_model = "support-7b"
    price = { prompt = 0.1, completion = 0.2 }
    """
    file = written(tmp_path, text)
    shown = portolan("catalogue", "show", "acme/support-7b", "--config", file)
    assert shown.returncode == 0 and "mine" in shown.stdout, shown
    assert portolan("catalogue", "show", "acme/support-7b").returncode == 2
    assert "1 of the endpoints are added by the configuration" in portolan("catalogue", "show", "--config", file).stdout


def test_a_misspelt_variable_is_an_error_of_the_check(tmp_path: Path) -> None:
    checked = portolan("config", "check", "--data-dir", str(tmp_path), PORTOLAN_STRATGY="price")
    assert checked.returncode == 1
    assert "Did you mean PORTOLAN_STRATEGY?" in checked.stderr


def test_provider_test_says_what_works(tmp_path: Path) -> None:
    """Against the lab everything works; what fails is said in a sentence, with exit code 1."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as url:
        for provider in ("groq", "anthropic", "google"):
            variables = NO_KEYS | {"PORTOLAN_LAB_URL": url, "PORTOLAN_DATA_DIR": str(tmp_path)}
            answer = portolan("provider", "test", provider, **variables)
            assert answer.returncode == 0, answer.stdout + answer.stderr
            words = [line.split()[0:2] for line in answer.stdout.splitlines()]
            assert [word[0] for word in words] == ["models", "endpoint", "completion", "stream", "tool"]
            assert answer.stdout.count(" works: ") == 4
    variables = NO_KEYS | {"PORTOLAN_DATA_DIR": str(tmp_path)}
    answer = portolan("provider", "test", "groq", **variables)
    assert (answer.returncode, "needs a key, and none is set" in answer.stdout) == (1, True)
    answer = portolan("provider", "test", "grop", **variables)
    assert (answer.returncode, "Did you mean groq?" in answer.stderr) == (2, True)


def test_provider_test_of_an_own_server(tmp_path: Path) -> None:
    """A stream that calls no tool works; a key that is refused, and a server that is down, are told apart."""
    server = vllm("m")
    server.refused["wrong"] = 401
    with serving(server.app()) as url:
        right = written(tmp_path, f'[providers.mine]\nbase_url = "{url}/v1"\nkey = "right"\n')
        variables = NO_KEYS | {"PORTOLAN_DATA_DIR": str(tmp_path)}
        answer = portolan("provider", "test", "mine", "--config", right, **variables)
        assert answer.returncode == 0, answer.stdout
        assert "models works: 1 listed, such as m" in " ".join(answer.stdout.split())
        wrong = written(tmp_path, f'[providers.mine]\nbase_url = "{url}/v1"\nkey = "wrong"\n')
        answer = portolan("provider", "test", "mine", "--config", wrong, **variables)
        assert answer.returncode == 1
        assert answer.stdout.count("does not work: ") == 3
        assert "key refused with 401" in answer.stdout
    answer = portolan("provider", "test", "mine", "--config", wrong, **variables)
    assert (answer.returncode, "cannot be read: ConnectError" in answer.stdout) == (1, True)
