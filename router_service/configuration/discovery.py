"""Read the models of the operator's own servers from their ``/models``, bounded in size and time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import httpx2
import msgspec

from data.catalogue.types import Catalogue
from router_service.configuration.addresses import file_address
from router_service.configuration.market import DiscoveredModel, Market, account_of
from router_service.configuration.names import discovers, wire_format_of
from router_service.configuration.tables import PortolanToml
from router_service.core.http_request import request_url
from router_service.providers.credentials import Account
from router_service.providers.formats.anthropic_messages.encode import VERSION
from router_service.providers.formats.anthropic_messages.names import DIALECT
from router_service.providers.formats.gemini.names import DIALECT as GEMINI
from router_service.upstream.proxies import Proxies
from router_service.upstream.tls import client_context

logger = logging.getLogger(__name__)

MAX_LIST_BYTES = 1024 * 1024
MAX_MODELS = 1000
MAX_NAME = 200
TIMEOUT_S = 5.0
# Seconds until the models of a server are read again: one that answered, and one that did not.
REFRESH_S = 60.0
RETRY_S = 5.0


class ModelSource(NamedTuple):
    """Say where the models of a provider are listed; ``headers`` authenticate the request."""

    provider: str
    url: str
    headers: Mapping[str, str]


class _ListedModel(msgspec.Struct):
    id: str
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None


class _GoogleModel(msgspec.Struct, rename="camel"):
    """Hold a model as Google lists it; its ``name`` begins with ``models/``."""

    name: str
    input_token_limit: int | None = None


class _ModelList(msgspec.Struct):
    # Ollama without a model sends null.
    data: list[_ListedModel] | msgspec.UnsetType | None = msgspec.UNSET
    models: list[_GoogleModel] | msgspec.UnsetType | None = msgspec.UNSET

    def listed(self) -> list[_ListedModel]:
        """Return the models of either list. Raises ``ValueError`` where there is none."""
        if self.data is msgspec.UNSET and self.models is msgspec.UNSET:
            raise ValueError("neither data nor models")
        theirs = [_ListedModel(one.name.removeprefix("models/"), one.input_token_limit) for one in self.models or ()]
        return [*(self.data or ()), *theirs]


class ModelListError(Exception):
    """Report in a sentence why a provider's models could not be read."""


def model_sources(
    tables: PortolanToml, packaged: Catalogue, market: Market, provider_urls: Mapping[str, str]
) -> list[ModelSource]:
    """Return the providers whose models have to be read, as the file and ``provider_urls`` say.

    ``packaged`` is the catalogue without what the file adds to it.
    """
    found = []
    for slug, table in tables.providers.items():
        account = account_of(slug, market.catalogue, tables)
        if account is not None and table.base_url is not None and discovers(slug, tables, packaged):
            url = provider_urls.get(slug) or file_address(table, market.catalogue.providers[slug])
            if url is None:
                continue
            wire_format = wire_format_of(slug, table, market.catalogue)
            found.append(ModelSource(slug, list_address(url, wire_format), list_headers(account, wire_format)))
    return found


def list_address(base_url: str, wire_format: str) -> str:
    """Return the address of a provider's list of models, which Google else gives in pages of 50."""
    if wire_format == GEMINI:
        return f"{base_url.rstrip('/')}/models?pageSize={MAX_MODELS}"
    # The models of an Azure resource are listed beside its deployments.
    address, _, query = base_url.partition("?")
    address = address.rstrip("/").partition("/deployments/")[0]
    return request_url(f"{address}?{query}" if query else address, "/models")


def list_headers(account: Account, wire_format: str) -> Mapping[str, str]:
    """Return the headers of a request for a list of models, with the account's first key."""
    first = {"anthropic-version": VERSION} if wire_format == DIALECT else {}
    return first | dict(account.headers) | account.key_header(account.keys[0] if account.keys else "", wire_format)


async def read_models(source: ModelSource, timeout_s: float = TIMEOUT_S) -> tuple[DiscoveredModel, ...]:
    """Return the models that a provider lists, in its order. Raises ``ModelListError``."""
    rule = Proxies.from_environment().rule_for(source.url)
    try:
        async with asyncio.timeout(timeout_s):
            async with httpx2.AsyncClient(
                proxy=rule.url if rule else None, trust_env=False, verify=client_context(), timeout=timeout_s
            ) as client:
                async with client.stream("GET", source.url, headers=dict(source.headers)) as response:
                    body = await _bounded(response)
                    status = response.status_code
    except TimeoutError:
        raise ModelListError(f"{source.url} did not answer within {timeout_s:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ModelListError(f"{source.url} cannot be read: {type(error).__name__}") from None
    if status != 200:
        raise ModelListError(f"{source.url} answered with status {status}")
    try:
        listed = msgspec.json.decode(body, type=_ModelList, strict=False).listed()
    except (ValueError, RecursionError):
        raise ModelListError(f'{source.url} sent no list of models such as {{"data": [{{"id": "…"}}]}}') from None
    return tuple(dict.fromkeys(_model(one) for one in listed[:MAX_MODELS] if _is_name(one.id)))


class ModelDirectory:
    """Remember what servers have listed. A server that is down keeps its last models and is asked again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.models: dict[str, tuple[DiscoveredModel, ...]] = {}
        self._clock = clock
        self._times: dict[tuple[str, str], float] = {}
        self._complained: dict[str, str] = {}

    async def refresh(
        self, sources: Sequence[ModelSource], *, again: bool = False, timeout_s: float = TIMEOUT_S
    ) -> bool:
        """Read the models that are due, or all of them ``again``; return whether any have changed.

        Servers that are gone are forgotten.
        """
        now, before = self._clock(), dict(self.models)
        by_address = {(one.provider, one.url): one for one in sources}
        known = {} if again else {key: at for key, at in self._times.items() if key in by_address}
        self._times = known
        self.models = {slug: listed for slug, listed in before.items() if any(s.provider == slug for s in sources)}
        due = [one for key, one in by_address.items() if known.get(key, 0.0) <= now]
        results = await asyncio.gather(*(read_models(one, timeout_s) for one in due), return_exceptions=True)
        for source, result in zip(due, results, strict=True):
            self._times[source.provider, source.url] = now + self._take(source, result)
        return self.models != before

    def _take(self, source: ModelSource, result: tuple[DiscoveredModel, ...] | BaseException) -> float:
        """Take a result over; return the seconds until the server is asked again."""
        if isinstance(result, BaseException):
            if not isinstance(result, ModelListError):
                raise result
            if self._complained.get(source.provider) != str(result):
                logger.warning("models of %s: %s; it is asked again", source.provider, result)
            self._complained[source.provider] = str(result)
            return RETRY_S
        self._complained.pop(source.provider, None)
        if self.models.get(source.provider) != result:
            logger.warning("models of %s: %s", source.provider, ", ".join(m.upstream_model for m in result) or "none")
        self.models[source.provider] = result
        return REFRESH_S


async def _bounded(response: httpx2.Response) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_LIST_BYTES:
            raise ModelListError(f"{response.url} sent more than {MAX_LIST_BYTES:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def _model(listed: _ListedModel) -> DiscoveredModel:
    length = listed.max_model_len or listed.context_length or listed.context_window or 0
    return DiscoveredModel(listed.id, length if 0 < length <= 2**31 else 0)
