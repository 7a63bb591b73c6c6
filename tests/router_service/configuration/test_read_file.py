"""Test that every mistake in ``portolan.toml`` is named with its place and with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.catalogue import load_catalogue
from router_service.configuration.mistakes import ConfigurationError
from router_service.configuration.read_file import Configuration, read_configuration, with_file
from router_service.configuration.toml_positions import Position, TomlPositions
from router_service.settings import Settings

GOLDEN = Path(__file__).parents[2] / "fixtures" / "configuration"


def lines_for(path: Path) -> list[str]:
    """Return the lines of the error for ``path``, without its folder."""
    with pytest.raises(ConfigurationError) as found:
        read_configuration(path, load_catalogue())
    return [line.replace(f"{path.parent}/", "") for line in found.value.lines]


def lines_of(folder: Path, content: str | bytes) -> list[str]:
    """Return the lines of the error for a file with ``content``."""
    path = folder / "portolan.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return lines_for(path)


@pytest.mark.parametrize("name", ["structure", "names"])
def test_all_mistakes_of_a_file_are_explained(name: str) -> None:
    """The golden text has one line for each, in the order of the file."""
    assert lines_for(GOLDEN / f"{name}.toml") == (GOLDEN / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a = \n", "portolan.toml:1:5: this is no TOML: invalid value"),
        ("[settings]\nzdr = true\nzdr = true\n", "portolan.toml:3:11: this is no TOML: cannot overwrite a value"),
        (b"[settings]\n# \xff\n", "portolan.toml:2:1: the file must be UTF-8"),
        (b"#" * 1_048_577, "portolan.toml: the file exceeds 1,048,576 bytes"),
        (
            "[settings]\ncategory_model = 'a/b'\n",
            "portolan.toml:2:18: settings.category_model needs category_model_key, an API key of this router: make one "
            "with 'portolan keys create'",
        ),
        (
            "[settings]\ncategory_model_url = 'http://u:p@x/v1'\n",
            "portolan.toml:2:22: settings.category_model_url must be the address of this router's API, such as "
            "http://127.0.0.1:8080/api/v1",
        ),
        ("settings = 3\n", "portolan.toml:1:12: settings must be a table"),
        ("[settings]\nconfig = 'a'\n", "portolan.toml:2:1: settings.config cannot be in the file"),
        ("a = " + "[" * 100_000, "portolan.toml:1:1: the file is nested too deeply"),
        (f"a = {'9' * 5000}", "portolan.toml:1:1: a number in the file has too many digits"),
        ("a = 1e99999999999999999999", "portolan.toml:1:1: a number in the file has too many digits"),
        ("[providers]\ngroq = 3\n", "portolan.toml:2:8: providers.groq must be a table"),
        ("endpoints = 3\n", "portolan.toml:1:13: endpoints must be a list"),
        (f"a{'.a' * 2000} = 1", "portolan.toml:1:1: a is no table that exists here."),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: str | bytes, line: str) -> None:
    """Syntax, encoding, size and depth are bounded and explained as well."""
    (said,) = lines_of(tmp_path, content)
    assert said.startswith(line)


@pytest.mark.parametrize(
    "url", ["gpu", "ftp://gpu/v1", "http://a b/v1", "http://user:pass@gpu/v1", "http://gpu/v1?x=1"]
)
def test_an_address_that_cannot_be_called_is_refused(tmp_path: Path, url: str) -> None:
    """Nor is one that hides a password, which would be shown."""
    (said,) = lines_of(tmp_path, f'[providers.mine]\nbase_url = "{url}"\n')
    assert said.startswith("portolan.toml:2:12: providers.mine.base_url must ")


@pytest.mark.parametrize(
    "header", ['"X Team" = "a"', '"x-team" = "a\\nb"', '"content-length" = "3"', '"content-type" = "a"', '"x" = "é"']
)
def test_a_header_that_would_change_the_request_is_refused(tmp_path: Path, header: str) -> None:
    """Framing headers and line breaks never reach a provider."""
    (said,) = lines_of(tmp_path, f'[providers.mine]\nbase_url = "http://gpu/v1"\nheaders = {{ {header} }}\n')
    assert said.startswith("portolan.toml:3:11: providers.mine.headers: ")


def test_many_mistakes_are_bounded(tmp_path: Path) -> None:
    """Each name is compared with all that exist, which takes its time."""
    text = "[aliases]\n" + "".join(f'a{number} = "openai/gpt-os-{number}"\n' for number in range(500))
    lines = lines_of(tmp_path, text)
    assert len(lines) == 51
    assert lines[-1] == "portolan.toml: there may be more mistakes than these"


def test_no_secret_is_in_a_message(tmp_path: Path) -> None:
    """Whatever is wrong beside a key, the key is not printed."""
    text = '[providers.mine]\nbase_url = 3\nkey = ["sk-secret", 4]\nkeey = "sk-secret"\n'
    text += 'headers = { a = "sk-secret", b = 1 }\n'
    assert not [line for line in lines_of(tmp_path, text) if "secret" in line]


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what the caller sets win as well; the rest is the file's, and then the default."""
    monkeypatch.setenv("portolan_stall_timeout", "7")
    path = tmp_path / "portolan.toml"
    limits = "stall_timeout = 8\nttft_timeout = 9.5\ntotal_timeout = 5\n"
    path.write_text(f'[settings]\nregional_hosts = {{ "eu.*" = "eu" }}\n{limits}')
    settings = with_file(Settings(total_timeout=3), read_configuration(path, load_catalogue()))
    assert (settings.stall_timeout, settings.ttft_timeout, settings.total_timeout) == (7, 9.5, 3)
    assert settings.regional_hosts == {"eu.*": "eu"}
    assert settings.connect_timeout == Settings().connect_timeout


def test_positions_of_every_form_of_toml() -> None:
    """Dotted and quoted keys, arrays of tables and what is in them, with columns in characters."""
    text = """title = "é" # 1
[a."b c".d]
x.y = { p = 1, q = [10, # comment
  20] }
[[list]]
m = 1
[list.sub]
n = 2
[[list]]
m = 3
"""
    found = TomlPositions(text)
    assert found.of_value(("title",)) == Position(1, 9)
    assert found.of_key(("a", "b c", "d")) == Position(2, 10)
    assert found.of_key(("a", "b c", "d", "x", "y")) == Position(3, 3)
    assert found.of_value(("a", "b c", "d", "x", "y", "q", 1)) == Position(4, 3)
    assert found.of_value(("list", 0, "sub", "n")) == Position(8, 5)
    assert found.of_value(("list", 1, "m")) == Position(10, 5)
    assert found.of_key(("list", 1, "missing")) == Position(9, 3)
    assert found.of_key(("nowhere",)) == Position(1, 1)
    assert TomlPositions("é = [é").of_key(("x",)) == Position(1, 1)
    assert Configuration(Path("f"), text).source("list", 0, "m") == "f:6"


def test_a_model_for_labels_and_its_key_may_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    """Neither is complete alone, so that they are judged together."""
    path = tmp_path / "portolan.toml"
    path.write_text('[settings]\ncategory_model_key = "sk-or-v1-abc"\n')
    read = read_configuration(path, load_catalogue())
    asked = with_file(Settings(category_model="a/b"), read).model_labelling
    assert asked is not None
    assert (asked.model, asked.key) == ("a/b", "sk-or-v1-abc")
    with pytest.raises(ConfigurationError, match="needs category_model_key"):
        with_file(Settings(category_model="a/b"), Configuration())
