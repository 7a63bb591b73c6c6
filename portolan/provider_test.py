"""Call one provider as the router calls it, step by step, and say what works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from data.catalogue.types import Endpoint
from router_service.configuration.addresses import file_address
from router_service.configuration.discovery import ModelListError, ModelSource, list_address, list_headers, read_models
from router_service.configuration.live import LiveConfiguration
from router_service.configuration.market import DiscoveredModel, Market, make_market
from router_service.configuration.names import discovers
from router_service.core.errors import ApiError
from router_service.core.events import GrammarError, Result, fold
from router_service.core.generation import GenerationRequest, Message, Tool, ToolChoice
from router_service.core.parts import Text, ToolCall
from router_service.execution.event_reader import EventReader
from router_service.providers.credentials import AccountAddress, Credentials
from router_service.providers.formats import FORMATS
from router_service.upstream.client import open_client, select_client
from router_service.upstream.transport import Transport

Say = Callable[[str], None]
# Enough for a model that thinks before its first word.
MAX_TOKENS = 512
GENERATION_ID = "gen-0-provider-test"
WEATHER = Tool(
    name="get_weather",
    description="Return the weather of a city.",
    schema=msgspec.Raw(
        b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}'
    ),
)


class StepFailed(Exception):
    """Report in a sentence why a step does not work."""


class _Caller(NamedTuple):
    endpoint: Endpoint
    credentials: Credentials
    upstream: Transport
    timeout_s: float

    async def complete(self, request: GenerationRequest) -> Result:
        """Return the complete answer to ``request``, streamed or not. Raises ``ApiError`` and ``GrammarError``."""
        wire = FORMATS[self.endpoint.wire_format]
        encoded = wire.encode(request, self.endpoint, GENERATION_ID)
        signed = await self.credentials.sign(encoded.request, self.endpoint)
        if not request.stream:
            answer = await self.upstream.send(signed, self.timeout_s)
            if answer.status != 200:
                raise wire.error(answer.status, answer.body, answer.headers, self.endpoint)
            return _checked(fold(wire.decode(answer.body, encoded.context)))
        response = await self.upstream.stream(signed, self.timeout_s)
        try:
            if response.status != 200:
                raise wire.error(response.status, await response.read(), response.headers, self.endpoint)
            reader = EventReader(response, wire.decoder(encoded.context))
            events = []
            async with asyncio.timeout(self.timeout_s):
                while batches := await reader.read():
                    events += [event for batch in batches for event in batch.events()]
            return _checked(fold(events))
        finally:
            response.close()


async def run(live: LiveConfiguration, provider: str, model: str | None, timeout_s: float, say: Say) -> bool:
    """Run all steps and ``say`` a line for each; return whether all of them work."""
    market, listed, works = await _list_models(live, provider, timeout_s, say)
    endpoint = _chosen(market, provider, model, listed)
    if endpoint is None:
        say(f"completion   not tried: {_why_none(market, provider, model)}")
        return False
    say(f"endpoint     {endpoint.id}, {endpoint.wire_format} at {endpoint.base_url}")
    settings = live.in_force.settings
    client = select_client(settings.upstream_client, [endpoint.base_url or ""])
    upstream = open_client(client, settings.connect_timeout, settings.max_event_bytes)
    caller = _Caller(
        endpoint, Credentials(lab=False, accounts=market.accounts, send=upstream.send), upstream, timeout_s
    )
    try:
        for name, step in (("completion", _completion), ("stream", _stream), ("tool call", _tool_call)):
            works &= await _try(name, step(caller), say)
    finally:
        await upstream.close()
    return works


async def _list_models(
    live: LiveConfiguration, provider: str, timeout_s: float, say: Say
) -> tuple[Market, Sequence[DiscoveredModel], bool]:
    """Read the list of models; return the market, which has them where the file says so, the list and its success."""
    settings, market = live.in_force
    tables, catalogue = live.configuration.tables, market.catalogue
    own = [e for offers in market.endpoints.values() for e in offers if e.provider == provider]
    # A provider lists its models in the format that most of them have.
    at = min(own, key=lambda e: e.wire_format != catalogue.providers[provider].wire_format, default=None)
    table = tables.providers.get(provider)
    fixed = file_address(table, catalogue.providers[provider]) if table else catalogue.providers[provider].base_url
    url = at.base_url if at else settings.provider_urls.get(provider) or fixed
    if url is None:
        say("models       not tried: the provider has no address; write base_url in portolan.toml")
        return market, (), False
    wire_format = at.wire_format if at else catalogue.providers[provider].wire_format
    account = live.account(provider) if at is None else market.accounts[AccountAddress(provider, url, wire_format)]
    if account is None:
        say("models       not tried: the provider needs a key, and none is set")
        return market, (), False
    source = ModelSource(provider, list_address(url, wire_format), list_headers(account, wire_format))
    try:
        listed = await read_models(source, timeout_s)
    except ModelListError as error:
        say(f"models       does not work: {error}")
        return market, (), False
    say(f"models       works: {len(listed)} listed{_first([one.upstream_model for one in listed])}")
    if discovers(provider, tables, live.catalogue):
        market = make_market(live.catalogue, live.configuration, settings, {provider: listed})
    return market, listed, True


def _chosen(market: Market, provider: str, model: str | None, listed: Sequence[DiscoveredModel]) -> Endpoint | None:
    """Return the endpoint to chat with: that of ``model``, else the cheapest one that takes tools and is listed."""
    own = [e for found in market.endpoints.values() for e in found if e.provider == provider and not e.service_tier]
    offers = [e for e in own if e.task == "chat"]
    if model is not None:
        canonical = market.catalogue.resolve(model)
        return next((e for e in offers if model in (e.upstream_model, e.id) or e.model == canonical), None)
    names = {one.upstream_model for one in listed}
    return min(
        offers,
        key=lambda e: (
            e.upstream_model not in names,
            "tools" not in e.supported_parameters,
            e.price.completion if e.price else 0,
            e.id,
        ),
        default=None,
    )


def _why_none(market: Market, provider: str, model: str | None) -> str:
    every = [e for offers in market.catalogue.endpoints.values() for e in offers if e.provider == provider]
    if model is not None:
        return f"{provider} has no endpoint of {model} that can be called"
    reasons = sorted({e.disabled_reason for e in every if e.disabled_reason})
    if every and len(reasons) and not any(e.enabled for e in every):
        return f"its endpoints are off: {', '.join(reasons)}"
    return "it needs a key, and none is set" if every else "it has no models"


async def _try(name: str, step: Awaitable[str], say: Say) -> bool:
    started = time.perf_counter()
    try:
        said = await step
    except (ApiError, StepFailed, GrammarError) as error:
        say(f"{name:12} does not work: {error}")
        return False
    except TimeoutError:
        say(f"{name:12} does not work: it was not complete in time")
        return False
    say(f"{name:12} works: {said}, {time.perf_counter() - started:.2f} s")
    return True


async def _completion(caller: _Caller) -> str:
    return _text(await caller.complete(_request("Answer with the word ready.")))


async def _stream(caller: _Caller) -> str:
    return _text(await caller.complete(_request("Answer with the word ready.", stream=True)))


async def _tool_call(caller: _Caller) -> str:
    request = _request("What is the weather in Rome?")
    request.tools, request.tool_choice = [WEATHER], ToolChoice(mode="required")
    result = await caller.complete(request)
    call = next((part for choice in result.choices for part in choice.parts if isinstance(part, ToolCall)), None)
    if call is None:
        raise StepFailed("the model answered without the tool call that was required")
    try:
        msgspec.json.decode(call.arguments, type=dict)
    except msgspec.DecodeError:
        raise StepFailed("the arguments of the tool call are no JSON object") from None
    return f"{call.name} was called"


def _request(text: str, *, stream: bool = False) -> GenerationRequest:
    return GenerationRequest(
        messages=[Message(role="user", parts=[Text(text=text)])], max_tokens=MAX_TOKENS, stream=stream
    )


def _text(result: Result) -> str:
    parts = [part for choice in result.choices for part in choice.parts]
    if not parts:
        raise StepFailed("the answer is empty")
    usage = result.usage
    return "an answer with usage" if usage is not None else "an answer, but without usage, so that it costs nothing"


def _checked(result: Result) -> Result:
    if result.error is not None:
        raise result.error
    return result


def _first(names: Sequence[str]) -> str:
    return f", such as {', '.join(names[:3])}" if names else ""
