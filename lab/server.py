"""Serve all providers of the lab on one port, each under its own path and in its real wire format."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from data.catalogue import load_catalogue
from lab.account_paths import AZURE
from lab.account_routes import account_routes
from lab.anthropic_wire import AnthropicWire
from lab.bedrock_anthropic import INVOKE_PATHS, BedrockAnthropicWire, invoked
from lab.bedrock_server import CONVERSE_PATHS, SignedReader, as_amazon_answers, converse_address
from lab.bedrock_wire import BedrockWire
from lab.behaviour import Behaviour, behaviour_of
from lab.chat_vendors import vendors
from lab.cohere import CohereEmbedWire, CohereRerankWire
from lab.cohere_chat import CohereChatWire
from lab.faults import NEVER_S, Fault, leaves, read_fault
from lab.gemini_server import TokenOffice
from lab.gemini_wire import GeminiWire
from lab.google_routes import google_routes
from lab.intake import MALFORMED, new_request_id, read_body, refusal_response, request_ids, understand, unreadable
from lab.openai_embeddings import OpenAIEmbeddingsWire
from lab.openai_images import OpenAIImagesWire
from lab.openai_wire import OpenAIWire
from lab.replies import make_scripts
from lab.responses_wire import ResponsesWire
from lab.script import Break, Script
from lab.shapes import RequestRefused
from lab.task_wire import answer_task
from lab.text import CHARACTERS_OF_A_TOKEN, Completion, complete
from lab.vendor_wire import VendorWire
from lab.vertex_anthropic import VERTEX_ANTHROPIC_PATH, Prediction, VertexAnthropicWire
from lab.wire import Wire

TIERS = ("priority", "flex")
BodyReader = Callable[[Request, Wire], Awaitable[dict[str, Any]]]
# Providers whose own API the wire format is.
GOOGLE = frozenset({"google", "google-vertex"})
STRICT_PROVIDERS = (
    frozenset({"openai", "anthropic", "cohere", "amazon-bedrock", "google-vertex-anthropic"}) | AZURE | GOOGLE
)


@dataclass(frozen=True, slots=True)
class Draft:
    """Response before it is written in a wire format. ``gap_s`` (s) is between the events of its stream."""

    endpoint: str
    user: str
    completion: Completion
    scripts: tuple[Script, ...]
    fault: Fault
    gap_s: float

    @property
    def breaks(self) -> Break | None:
        return next((script.breaks for script in self.scripts if script.breaks), None)

    @property
    def tokens(self) -> int:
        return sum(script.tokens for script in self.scripts) or self.completion.completion_tokens


@dataclass
class Lab:
    """State of all providers of the lab.

    Endpoints are named ``provider:model``, or ``provider:model@tier`` for a requested service tier, which behaves like
    the default tier and is reported in the response. ``time_scale`` multiplies all latencies and the time between
    outages (0: no delay). ``faults`` enables failures at the measured rates. ``modes`` has the injected faults
    (``lab/faults.py``) by endpoint, provider or ``*``. ``completed`` counts the completed responses, which a provider
    would bill, by the request's ``user``. ``strict`` makes every provider refuse what it refuses where that is known,
    else what the vendor of its wire format does; without it the ones of ``STRICT_PROVIDERS`` do.
    ``refused`` counts these refusals by endpoint. ``unmarked`` is the scenario of prompts without a marker, ``None``
    for a drawn response.
    """

    seed: int = 7
    time_scale: float = 1.0
    faults: bool = True
    strict: bool = False
    unmarked: str | None = None
    modes: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    async def answer(
        self,
        provider: str,
        request: Request,
        wire: Wire,
        address: Mapping[str, Any] | None = None,
        read: BodyReader = read_body,
    ) -> Response:
        """Return the provider's response to ``request``, or its refusal.

        ``address`` are the fields that the address of the request stands for: where it has any, they are none of the
        body.
        """
        try:
            body = await read(request, wire)
            return await self._answer(provider, request, body, wire, dict(address or {}))
        except RequestRefused as refused:
            return refusal_response(refused, wire)
        except MALFORMED as error:
            return refusal_response(unreadable(error), wire)

    async def _answer(
        self, provider: str, request: Request, body: dict[str, Any], wire: Wire, address: dict[str, Any]
    ) -> Response:
        base = f"{provider}:{address.get('model', body.get('model'))}"
        endpoint = f"{base}@{body['service_tier']}" if body.get("service_tier") in TIERS else base
        self.calls[endpoint] += 1
        try:
            if self.refuses(provider):
                wire.refuse(body, request.headers)
            body |= address
            ask, conversation = understand(body, wire)
            if conversation.scenario is None and self.unmarked is not None:
                conversation = replace(conversation, scenario=self.unmarked)
        except RequestRefused:
            self.refused[endpoint] += 1
            raise
        number = f"{self.seed}/{endpoint}/{self.calls[endpoint]}"
        dice = random.Random(number)
        behaviour = behaviour_of(base, self.seed)
        fault = read_fault(self.modes.get(endpoint) or self.modes.get(provider) or self.modes.get("*"))
        refusal = fault.refusal(wire, dice) or self._chance(behaviour, dice, wire)
        if refusal is not None:
            return refusal
        if endpoint != base and fault.downgrades(dice):
            body["service_tier"] = "default"
        completion = wire.cache(body, fault.spoil(complete(ask, dice), dice), base)
        scripts = make_scripts(wire, conversation, ask, completion, random.Random(f"{number}/script"))
        slowness = fault.slowness(dice)
        wait = behaviour.ttft(dice) * slowness * self.time_scale
        gap = slowness * self.time_scale / behaviour.throughput(dice)
        silence = next((script.silence_s for script in scripts if script.silence_s is not None), None)
        draft = Draft(
            endpoint, str(body.get("user", "")), completion, scripts, fault, gap if silence is None else silence
        )
        if not body.get("stream"):
            wait += gap * draft.tokens + (silence or 0.0)
        response = self._stream(draft, body, wire) if body.get("stream") else self._whole(draft, body, wire)
        if await leaves(request, NEVER_S if fault.mode == "hang" else wait):
            self.cancelled[endpoint] += 1
            return Response(status_code=499)
        return response()

    def _stream(self, draft: Draft, body: dict[str, Any], wire: Wire) -> Callable[[], Response]:
        """Return what makes the stream when its time has come."""
        scripts, completion, fault, request_id = draft.scripts, draft.completion, draft.fault, new_request_id()
        pieces = wire.script_events(scripts, completion, body) if scripts else wire.events(completion, body)
        if draft.breaks == "error":
            half = pieces[: len(pieces) // 2]
            pieces = [*half, wire.error_event(request_id, len(half))]
        if draft.breaks == "cut":
            fault = Fault("reset", after=len(pieces) // 2)

        def response() -> Response:
            events = self._send(draft.endpoint, draft.user, pieces, draft.gap_s, fault, billed=draft.breaks is None)
            return StreamingResponse(events, media_type="text/event-stream", headers=request_ids(request_id))

        return response

    def _whole(self, draft: Draft, body: dict[str, Any], wire: Wire) -> Callable[[], Response]:
        """Return what makes the non-streaming response when its time has come."""
        scripts, completion = draft.scripts, draft.completion
        if draft.breaks == "error":
            raise wire.failure(529)
        content = wire.whole_script(scripts, completion, body) if scripts else wire.whole(completion, body)
        answer = JSONResponse(content, headers=request_ids(new_request_id()))
        fault = Fault("reset", after=1) if draft.breaks == "cut" else draft.fault

        def response() -> Response:
            if not fault.breaks_off:
                self.completed[draft.user] += 1
                return answer
            half = len(answer.body) // 2
            halves = [answer.body[:half], answer.body[half:]]
            sent = self._send(draft.endpoint, draft.user, halves, 0, fault.within(1))
            return StreamingResponse(sent, headers=dict(answer.headers))

        return response

    async def count(self, provider: str, request: Request, wire: AnthropicWire) -> Response:
        """Return the number of tokens of a prompt, or the refusal to count them."""
        try:
            body = await read_body(request, wire)
            if self.refuses(provider):
                wire.refuse_count(body, request.headers)
            ask, _ = understand(body, wire)
        except RequestRefused as refused:
            return refusal_response(refused, wire)
        tokens = {"input_tokens": max(1, ask.characters // CHARACTERS_OF_A_TOKEN)}
        return JSONResponse(tokens, headers=request_ids(new_request_id()))

    def refuses(self, provider: str) -> bool:
        """Return true if ``provider`` refuses what the vendor of its wire format refuses; imitators are lenient."""
        return self.strict or provider in STRICT_PROVIDERS

    def _chance(self, behaviour: Behaviour, dice: random.Random, wire: Wire) -> Response | None:
        """Return a failure at the measured rates or during an outage, else ``None``."""
        if not self.faults:
            return None
        now_s = (time.monotonic() - self.started) / (self.time_scale or 1.0)
        if behaviour.is_out(now_s) or dice.random() < behaviour.error_rate:
            return JSONResponse(wire.error(503), status_code=503)
        if dice.random() < behaviour.rate_limit_rate:
            return JSONResponse(wire.error(429), status_code=429, headers={"retry-after": "1"})
        return None

    async def _send(
        self, endpoint: str, user: str, pieces: Sequence[bytes | memoryview], gap_s: float, fault: Fault,
        billed: bool = True,
    ) -> AsyncIterator[bytes]:  # fmt: skip
        finished = False
        try:
            for index, piece in enumerate(pieces):
                await fault.before(index)
                # A response is billed with its last piece, whether or not the client reads to the end.
                finished = index + 1 == len(pieces)
                if finished and billed:
                    self.completed[user] += 1
                yield bytes(piece)
                if not finished:
                    await asyncio.sleep(gap_s)
        finally:
            if not finished:
                self.cancelled[endpoint] += 1


def create_app(lab: Lab) -> Starlette:
    """Return the application: providers at ``/{provider}/v1``, counts at ``/_log``.

    Providers whose addresses contain an account are at paths of their own form too, such as ``/azure/openai/v1``.
    ``/_google/token`` exchanges assertions of service accounts for tokens of Vertex AI, and ``/_control/{provider}``
    injects faults into a provider or into one of its endpoints.
    """
    openai, anthropic, responses = OpenAIWire(), AnthropicWire(lab.seed), ResponsesWire(lab.seed)
    office, cohere = TokenOffice(), CohereChatWire()
    bedrock, vertex_anthropic = BedrockWire(lab.seed), VertexAnthropicWire(lab.seed)
    bedrock_anthropic = BedrockAnthropicWire(lab.seed)
    others = {provider: VendorWire(provider, vendor) for provider, vendor in vendors().items()}

    async def chat(request: Request) -> Response:
        provider = request.path_params["provider"]
        return await lab.answer(provider, request, others.get(provider, openai))

    async def respond(request: Request) -> Response:
        return await lab.answer(request.path_params["provider"], request, responses)

    async def messages(request: Request) -> Response:
        return await lab.answer(request.path_params["provider"], request, anthropic)

    async def count_tokens(request: Request) -> Response:
        return await lab.count(request.path_params["provider"], request, anthropic)

    async def embed(request: Request) -> Response:
        provider = request.path_params["provider"]
        return await answer_task(lab, provider, request, OpenAIEmbeddingsWire(provider))

    async def converse(request: Request) -> Response:
        provider, address = request.path_params["provider"], converse_address(request)
        read = SignedReader(lab.refuses(provider))
        return as_amazon_answers(await lab.answer(provider, request, bedrock.at(address["model"]), address, read))

    async def invoke(request: Request) -> Response:
        provider, address = request.path_params["provider"], invoked(request)
        read = SignedReader(lab.refuses(provider))
        return as_amazon_answers(await lab.answer(provider, request, bedrock_anthropic, address, read))

    async def predict(request: Request) -> Response:
        provider, wanted = request.path_params["provider"], Prediction.read(request)
        refused = wanted.refusal(office)
        if refused is not None and lab.refuses(provider):
            lab.refused[f"{provider}:{wanted.model}"] += 1
            return refusal_response(refused, vertex_anthropic)
        return await lab.answer(provider, request, vertex_anthropic, wanted.address)

    async def cohere_embed(request: Request) -> Response:
        return await answer_task(lab, request.path_params["provider"], request, CohereEmbedWire())

    async def rerank(request: Request) -> Response:
        return await answer_task(lab, request.path_params["provider"], request, CohereRerankWire())

    async def cohere_chat(request: Request) -> Response:
        return await lab.answer(request.path_params["provider"], request, cohere)

    async def draw(request: Request) -> Response:
        provider = request.path_params["provider"]
        return await answer_task(lab, provider, request, OpenAIImagesWire(provider))

    async def models(request: Request) -> Response:
        provider = request.path_params["provider"]
        rows = models_of(provider)
        if provider in GOOGLE:
            return JSONResponse({"models": [{"name": f"models/{name}", "displayName": name} for name in rows]})
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in rows]})

    async def control(request: Request) -> Response:
        provider = request.path_params["provider"]
        if request.method == "DELETE":
            lab.modes.pop(provider, None)
            return JSONResponse(lab.modes)
        wanted = json.loads(await request.body())
        try:
            read_fault(wanted)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        lab.modes[provider] = wanted
        return JSONResponse(lab.modes)

    async def log(_request: Request) -> Response:
        counts = {"calls": lab.calls, "cancelled": lab.cancelled, "completed": lab.completed, "refused": lab.refused}
        return JSONResponse(counts)

    return Starlette(
        routes=[
            Route("/{provider}/v1/chat/completions", chat, methods=["POST"]),
            Route("/{provider}/v1/messages", messages, methods=["POST"]),
            Route("/{provider}/v1/responses", respond, methods=["POST"]),
            Route("/{provider}/v1/embeddings", embed, methods=["POST"]),
            *(Route(f"/{{provider}}/{version}/chat", cohere_chat, methods=["POST"]) for version in ("v1", "v2")),
            *(Route(f"/{{provider}}/{version}/embed", cohere_embed, methods=["POST"]) for version in ("v1", "v2")),
            *(Route(f"/{{provider}}/{version}/rerank", rerank, methods=["POST"]) for version in ("v1", "v2")),
            Route("/{provider}/v1/images/generations", draw, methods=["POST"]),
            Route("/{provider}/v1/models", models),
            Route("/{provider}/v1beta/models", models),
            *google_routes(lab, GeminiWire(lab.seed), office),
            *(Route(path, converse, methods=["POST"]) for path in CONVERSE_PATHS),
            *(Route(path, invoke, methods=["POST"]) for path in INVOKE_PATHS),
            *(Route(f"/{{provider}}/{path}/models", models) for path in ("openai/v1", "openai")),
            *account_routes(lab, responses, anthropic),
            Route(VERTEX_ANTHROPIC_PATH, predict, methods=["POST"]),
            Route("/_google/token", office.exchange, methods=["POST"]),
            Route("/{provider}/v1/messages/count_tokens", count_tokens, methods=["POST"]),
            Route("/_control/{provider:path}", control, methods=["POST", "DELETE"]),
            Route("/_log", log),
        ]
    )


def models_of(provider: str) -> list[str]:
    """Return the models that the catalogue has of ``provider``, as the provider names them."""
    offers = (endpoint for found in load_catalogue().endpoints.values() for endpoint in found)
    return sorted({e.upstream_model for e in offers if e.provider == provider})


def run(host: str, port: int, seed: int, time_scale: float, strict: bool = False) -> None:
    """Serve the lab until it is stopped."""
    app = create_app(Lab(seed=seed, time_scale=time_scale, strict=strict))
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
