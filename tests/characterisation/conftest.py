"""One router in front of one scripted provider, for the whole session; ``--update-golden`` rewrites the goldens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from data.catalogue.types import Catalogue, Endpoint, Model, Price, Provider
from tests.characterisation.golden import Golden
from tests.characterisation.provider import ScriptedProvider
from tests.conftest import Lake, Settings, create_key, create_router, open_database, serving
from tests.wire_cases import FORMATS, WireCase, load_cases

KEY_VARIABLE = "CHARACTERISATION_PROVIDER_KEY"
PROVIDER_KEY = "provider-key"
PLAIN = "openai_chat/plain_text"
BODY_LIMIT = 256 * 1024
PARAMETERS = frozenset(
    {"frequency_penalty", "logprobs", "max_tokens", "n", "presence_penalty", "reasoning", "response_format", "seed"}
    | {"stop", "structured_outputs", "temperature", "tool_choice", "tools", "top_logprobs", "top_p"}
)
# An endpoint that no test calls: its health says nothing of the order in which the tests ran.
UNTOUCHED = "test/untouched"
CALLED = "test/called"
UNPRICED = "test/unpriced"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return the golden files. The option is not known where pytest was started for other folders as well."""
    return Golden(update=request.config.getoption("--update-golden", default=False))


@dataclass
class Market:
    """Holds a running router, its provider, and what makes keys. ``plain`` is what the models of ``test`` answer.

    ``lookup`` is another client of the router, which a connection that breaks in a test does not concern. ``sdks``
    are the official clients that tests have opened.
    """

    url: str
    provider: ScriptedProvider
    plain: WireCase
    lake: Lake
    client: httpx2.Client
    lookup: httpx2.Client
    sdks: dict[str, Any] = field(default_factory=dict)

    def new_key(self, policy: str | None = None) -> str:
        """Return a key that nothing has been spent with."""
        return create_key(open_database(self.lake.database), "characterisation", policy)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """Start a router whose catalogue has one model with one endpoint for every case: none has another's health."""
    cases = [case for name in FORMATS for case in load_cases(name)]
    lake = Lake(tmp_path_factory.mktemp("characterisation")).create()
    with ScriptedProvider(cases) as provider, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PORTOLAN_")]:
            patch.delenv(name)
        patch.setenv(KEY_VARIABLE, PROVIDER_KEY)
        # Long enough for every answer of a busy machine: no golden depends on a time-out or a keep-alive.
        settings = Settings(
            data_dir=lake.root, max_body_bytes=BODY_LIMIT, keepalive_interval=300, ttft_timeout=120, category_share=0
        )
        key = create_key(open_database(lake.database), "characterisation")
        with serving(create_router(settings, _catalogue(cases, provider))) as url:
            headers = {"authorization": f"Bearer {key}", "user-agent": "characterisation"}
            made = [httpx2.Client(base_url=url, headers=headers, timeout=120) for _ in range(2)]
            with made[0] as client, made[1] as lookup:
                plain = next(case for case in cases if case.id == PLAIN)
                yield Market(url, provider, plain, lake, client, lookup)


def _catalogue(cases: list[WireCase], provider: ScriptedProvider) -> Catalogue:
    endpoints = {case.id: (_endpoint(case, provider),) for case in cases}
    plain = next(case for case in cases if case.id == PLAIN)
    endpoints |= {name: (_endpoint(plain, provider, model=name),) for name in (UNTOUCHED, CALLED)}
    endpoints[UNPRICED] = (_endpoint(plain, provider, model=UNPRICED, price=None),)
    found = [endpoint for offers in endpoints.values() for endpoint in offers]
    providers = {
        e.provider: Provider(e.provider, e.provider_name, e.wire_format, e.base_url, (KEY_VARIABLE,)) for e in found
    }
    models = {name: _model(name, offers[0]) for name, offers in endpoints.items()}
    return Catalogue("characterisation", models, providers, endpoints, {"test/alias": CALLED})


def _endpoint(case: WireCase, provider: ScriptedProvider, **more: object) -> Endpoint:
    about = case.endpoint
    model = str(more.get("model", case.id))
    fields: dict[str, object] = {
        "id": f"{about.provider}:{model}",
        "tag": about.provider,
        "provider": about.provider,
        "provider_name": about.provider_name,
        "model": model,
        "upstream_model": about.upstream_model,
        "wire_format": case.format,
        "base_url": provider.url(case),
        "key_env": (KEY_VARIABLE,),
        "price": Price(**about.price),
        "context_length": about.context_length,
        "max_completion_tokens": about.max_completion_tokens,
        "supported_parameters": PARAMETERS,
    }
    return Endpoint(**(fields | more))  # type: ignore[arg-type]


def _model(name: str, endpoint: Endpoint) -> Model:
    author = name.split("/", 1)[0]
    modalities = ("text", "image", "file", "audio")
    return Model(name, author, f"Test: {name}", 1741569952, endpoint.context_length, modalities, ("text",))
