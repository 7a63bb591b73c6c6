"""Test that a region of Amazon Web Services in the file is called at its address, signed with the right key."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from data.catalogue import load_catalogue
from router_service.configuration.market import Market, make_market
from router_service.configuration.mistakes import ConfigurationError
from router_service.configuration.read_file import read_configuration
from router_service.providers.credentials import Account
from router_service.providers.sigv4 import AwsAccount, AwsKeys
from router_service.settings import Settings

BEDROCK = "providers.amazon-bedrock"
VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
TOKEN = "AWS_BEARER_TOKEN_BEDROCK"
AT = "https://bedrock-runtime.us-east-1.amazonaws.com"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the variables of AWS away, which the machine of a developer may have."""
    for name in (*VARIABLES, TOKEN):
        monkeypatch.delenv(name, raising=False)


def market_of(folder: Path, text: str) -> Market:
    """Return the market of a file with ``text``."""
    path = folder / "portolan.toml"
    path.write_text(text)
    catalogue = load_catalogue()
    return make_market(catalogue, read_configuration(path, catalogue), Settings(data_dir=folder))


def accounts_of(market: Market) -> list[tuple[str | None, Account]]:
    """Return the address and the account of Bedrock."""
    return [(at.base_url, account) for at, account in market.accounts.items() if at.provider == "amazon-bedrock"]


def test_a_region_opens_the_models_of_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call all of Bedrock's models at the region's address, with the key of the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", " secret ")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    market = market_of(tmp_path, f'[{BEDROCK}.aws]\nregion = "eu-central-1"\n')
    found = [e for offers in market.endpoints.values() for e in offers if e.provider == "amazon-bedrock"]
    address = "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert {(e.wire_format, e.base_url) for e in found} == {("bedrock_converse", address)}
    assert {"anthropic/claude-sonnet-4.5", "amazon/nova-pro-v1"} <= {e.model for e in found}
    signing = AwsAccount("eu-central-1", AwsKeys("AKID", "secret", "token"))
    assert accounts_of(market) == [(address, Account(aws=signing))]


def test_nothing_is_called_without_a_key(tmp_path: Path) -> None:
    """A machine's role is asked for only where the file allows it."""
    assert accounts_of(market_of(tmp_path, f'[{BEDROCK}.aws]\nregion = "us-east-1"\n')) == []
    assert accounts_of(market_of(tmp_path, "")) == []
    ((_, account),) = accounts_of(
        market_of(tmp_path, f'[{BEDROCK}.aws]\nregion = "us-east-1"\ninstance_metadata = true\n')
    )
    assert account.aws == AwsAccount("us-east-1")


def test_an_api_key_is_a_bearer_token_in_the_format_of_anthropic_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "bedrock-api-key-1")
    text = f'[{BEDROCK}]\nwire_format = "anthropic_messages"\naws.region = "us-east-1"\n'
    accounts = accounts_of(market_of(tmp_path, text))
    sent = [
        account.key_header(key, name)
        for _, account in accounts
        for key in account.keys
        for name in ("anthropic_messages", "bedrock_converse")
    ]
    assert sent == [{"authorization": "Bearer bedrock-api-key-1"}] * 4


def test_an_api_key_is_a_bearer_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign nothing where there is an API key, and need no package then."""
    monkeypatch.setenv(TOKEN, "bedrock-api-key-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for text in (
        f'[{BEDROCK}.aws]\nregion = "us-east-1"\n',
        f'[{BEDROCK}]\nkey_env = "{TOKEN}"\naws.region = "us-east-1"\n',
    ):
        ((_, account),) = accounts_of(market_of(tmp_path, text))
        assert account == Account(("bedrock-api-key-1",))
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "botocore.auth", None)
            assert accounts_of(market_of(tmp_path, text)) == [(AT, account)]


def test_the_file_names_variables_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the key from other variables, or from the file; a token of the environment is none of the file's key."""
    monkeypatch.setenv("SHIP_ID", "AKIDSHIP")
    monkeypatch.setenv("SHIP_SECRET", "ship")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    named = 'region = "us-east-1"\naccess_key_id_env = "SHIP_ID"\nsecret_access_key_env = "SHIP_SECRET"\n'
    named += 'session_token_env = "SHIP_TOKEN"\n'
    ((_, account),) = accounts_of(market_of(tmp_path, f"[{BEDROCK}.aws]\n{named}"))
    assert account.aws == AwsAccount("us-east-1", AwsKeys("AKIDSHIP", "ship"))
    written = 'region = "us-east-1"\naccess_key_id = "AKIDFILE"\nsecret_access_key = "file"\n'
    ((_, account),) = accounts_of(market_of(tmp_path, f"[{BEDROCK}.aws]\n{written}"))
    assert account.aws == AwsAccount("us-east-1", AwsKeys("AKIDFILE", "file"))


def test_the_region_may_stand_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the region from the environment, or from the host of an address of the operator's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    base = "https://bedrock-runtime.ap-south-1.amazonaws.com"
    ((address, account),) = accounts_of(market_of(tmp_path, f'[{BEDROCK}]\nbase_url = "{base}"\naws = {{}}\n'))
    assert address == base and account.aws is not None and account.aws.region == "ap-south-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    ((address, _),) = accounts_of(market_of(tmp_path, f"[{BEDROCK}]\naws = {{}}\n"))
    assert address == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"[{BEDROCK}]\nname = 'B'\n", "needs aws.region or base_url: the catalogue has no address for it"),
        (f"[{BEDROCK}]\naws = {{}}\n", "needs region, which neither base_url nor AWS_REGION names"),
        (f"[{BEDROCK}.aws]\nregion = 'us east'\n", "region"),
        (
            f"[{BEDROCK}.aws]\nregion = 'us-east-1'\naccess_key_id = 'A'\n",
            "needs access_key_id and secret_access_key together",
        ),
        (f"[{BEDROCK}.aws]\nregion = 'us-east-1'\nsecret = 'A'\n", "is no key that exists here"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, words: str) -> None:
    """Explain each mistake in a sentence."""
    with pytest.raises(ConfigurationError, match=words):
        market_of(tmp_path, text)


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Say at the start, and not at the first request, what to install."""
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigurationError, match=r"install portolan\[bedrock\]"):
        market_of(tmp_path, f'[{BEDROCK}.aws]\nregion = "us-east-1"\n')
