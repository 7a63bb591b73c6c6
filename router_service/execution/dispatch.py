"""Dispatch a generation request to providers: one path for streams and non-streaming responses.

An attempt is committed by its first content. Before it a failure falls over to the next endpoint and the client sees
nothing; after it the answer can only fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from data.record.attempt import Attempt
from router_service.core.answer import Batch, EventBatch, failure_of
from router_service.core.errors import ApiError
from router_service.core.events import Event, Finished, PartBegan, PartDelta
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest
from router_service.core.http_request import HttpRequest
from router_service.core.large_bodies import LARGE_BODY_BYTES, translate
from router_service.core.parts import Refusal
from router_service.core.plan import Decision
from router_service.core.request_source import RequestSource
from router_service.core.usage import Usage
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import Deadlines, MeasuredDeadlines, Timeouts
from router_service.execution.event_reader import EventReader, usage_of
from router_service.execution.hedging import Hedging
from router_service.execution.inline_media import RequestMedia
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.execution.prompt_caches import CacheRefused, PromptCaches
from router_service.execution.upcoming_decisions import UpcomingDecisions
from router_service.health import Health
from router_service.providers.credentials import Credentials
from router_service.providers.redaction import NO_SECRETS, SecretRedactor
from router_service.providers.refused_tokens import refuses_tokens, without_tokens
from router_service.providers.stream_redaction import StreamRedactor
from router_service.providers.task_format import TaskFormats
from router_service.providers.wire_format import DataAlone, DecodeContext, Encoded, WireFormat
from router_service.upstream.fetcher import MediaFetcher
from router_service.upstream.framing.sse import EventParser
from router_service.upstream.transport import MAX_BODY_BYTES, DeadlineMissed, HttpResponse, StreamResponse, Transport


class CommittedAttempt(msgspec.Struct):
    """Hold an attempt whose first content has arrived: ``first`` are the batches up to it.

    ``response`` and ``reader`` are ``None`` for a non-streaming response, whose batches are all in ``first``.
    """

    endpoint: Endpoint
    attempt: Attempt
    deadlines: Deadlines
    first: list[Batch]
    dropped: tuple[str, ...] = ()
    response: StreamResponse | None = None
    reader: EventReader | None = None
    redactor: SecretRedactor = NO_SECRETS


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """Dispatch the requests of one process. ``upstream`` is set while the application runs.

    ``caches`` are made for marked prompts, ``None`` where none may be made.
    """

    health: Health
    outcomes: OutcomeReporter
    hedging: Hedging | None
    timeouts: Timeouts
    measured_deadlines: MeasuredDeadlines
    credentials: Credentials
    formats: Mapping[str, WireFormat]
    task_formats: TaskFormats = field(default_factory=dict)
    data_alone: DataAlone = field(default_factory=dict)
    fetcher: MediaFetcher = field(default_factory=MediaFetcher)
    caches: PromptCaches | None = None
    upstream: Transport = field(init=False)

    def dispatch(
        self,
        exchange: Exchange,
        source: RequestSource,
        decisions: Iterator[Decision],
    ) -> Coroutine[Any, Any, CommittedAttempt]:
        """Return what awaits the first attempt that is committed. It raises ``ApiError`` if every endpoint failed."""
        head = exchange.request.head
        ahead = UpcomingDecisions(decisions, exchange) if head and head.models else None
        deadlines = Deadlines(exchange, self.timeouts, self.measured_deadlines)
        calls = _Calls(self, exchange, source, ahead, deadlines)
        attempts = AttemptLoop(exchange, self.health, deadlines, self.outcomes, self.hedging)
        return attempts.run(ahead or decisions, calls.call, discard)


class _Calls:
    """Make the calls of one request."""

    __slots__ = ("_ahead", "_deadlines", "_dispatcher", "_exchange", "_media", "_source")

    def __init__(
        self,
        dispatcher: Dispatcher,
        exchange: Exchange,
        source: RequestSource,
        ahead: UpcomingDecisions | None,
        deadlines: Deadlines,
    ) -> None:
        self._deadlines = deadlines
        self._dispatcher = dispatcher
        self._exchange = exchange
        self._source = source
        self._ahead = ahead
        self._media: RequestMedia | None = None

    async def call(self, endpoint: Endpoint, attempt: Attempt, timeout_s: float) -> CommittedAttempt:
        """Call ``endpoint``. Where the provider refuses one of several keys, call it with the next; where it refuses
        the tokens of earlier reasoning, call it once more without them. What one key may not use, such as a cache of
        another project, another one may.
        """
        credentials = self._dispatcher.credentials
        wire = self._dispatcher.formats[endpoint.wire_format]
        head, takes_data = self._exchange.request.head, endpoint.wire_format in self._dispatcher.data_alone
        asked = await self._inlined(endpoint) if takes_data and head and head.modality != "text" else None
        generation_id, size = self._exchange.request.id, self._exchange.request.body_bytes
        if asked is None and size < LARGE_BODY_BYTES:
            # Most requests come here: a coroutine for each step that may have to wait costs a microsecond.
            encoded = wire.encode_source(self._source, endpoint, generation_id)
        elif asked is None:
            encoded = await translate(size, wire.encode_source, self._source, endpoint, generation_id)
        else:
            encoded = await translate(size, wire.encode, asked, endpoint, generation_id)
        ends_at = time.perf_counter() + timeout_s
        with_tokens = True
        caches = None if encoded.marked is None else self._caches()
        refused: list[HttpRequest] = []
        while True:
            request = credentials.sign_at_once(encoded.request, endpoint, refused)
            request = request or await credentials.sign(encoded.request, endpoint, refused)
            redactor = credentials.redactor(endpoint)
            try:
                if caches is None or encoded.marked is None:
                    if self._source.stream:
                        return await self._stream(wire, encoded, request, endpoint, attempt, timeout_s, redactor)
                    asked_at = time.perf_counter()
                    answer = await self._dispatcher.upstream.send(request, timeout_s)
                    return self._answered(answer, wire, encoded, endpoint, attempt, asked_at, redactor)
                return await self._call_with_cache(caches, wire, encoded, request, endpoint, attempt, ends_at, redactor)
            except CacheRefused as refusal:
                caches, encoded = None, refusal.used.charged(encoded)
                timeout_s = max(ends_at - time.perf_counter(), 0.001)
            except ApiError as error:
                redactor.redact_error(error)
                status = error.upstream_status or error.code
                if with_tokens and refuses_tokens(error) and (kept := without_tokens(asked or await self._parsed())):
                    with_tokens = False
                    encoded = _report_reasoning(await translate(size, wire.encode, kept, endpoint, generation_id))
                elif error.error_type == "permission_denied" and credentials.has_untried(endpoint, [*refused, request]):
                    refused.append(request)
                elif not credentials.pass_on(request, endpoint, status, error.retry_after):
                    raise
                timeout_s = ends_at - time.perf_counter()
                if timeout_s <= 0:
                    raise

    def _caches(self) -> PromptCaches | None:
        """Return the caches that may be made; ``None`` for a request that nobody may retain."""
        decision = self._exchange.route.step.decision
        return None if decision is not None and decision.plan.preferences.zdr else self._dispatcher.caches

    async def _call_with_cache(
        self,
        caches: PromptCaches,
        wire: WireFormat,
        encoded: Encoded,
        request: HttpRequest,
        endpoint: Endpoint,
        attempt: Attempt,
        ends_at: float,
        redactor: SecretRedactor,
    ) -> CommittedAttempt:
        """Call ``endpoint`` with the cache for the marked prompt. Raises ``ApiError`` and ``CacheRefused``."""
        assert encoded.marked is not None
        upstream = self._dispatcher.upstream
        prefixes = await translate(self._exchange.request.body_bytes, encoded.marked.prefixes)
        async with caches.using(prefixes, request, upstream, ends_at - time.perf_counter()) as used:
            if used is not None:
                encoded, request = used.replacing(encoded, request)
            asked_at = time.perf_counter()
            if self._source.stream:
                return await self._stream(wire, encoded, request, endpoint, attempt, ends_at - asked_at, redactor)
            answer = await upstream.send(request, ends_at - asked_at)
            return self._answered(answer, wire, encoded, endpoint, attempt, asked_at, redactor)

    def _answered(
        self,
        answer: HttpResponse,
        wire: WireFormat,
        encoded: Encoded,
        endpoint: Endpoint,
        attempt: Attempt,
        asked_at: float,
        redactor: SecretRedactor,
    ) -> CommittedAttempt:
        """Return a non-streaming answer to a call made ``asked_at``. Raises ``ApiError``."""
        attempt.status = answer.status
        body = redactor.redact_bytes(answer.body)
        if answer.status != 200:
            raise wire.error(answer.status, body, answer.headers, endpoint)
        found = _decoded(wire, body, answer.headers, encoded.context, redactor)
        if self._ahead is not None or not found[0].spliced:
            found = self._complete(found)
        attempt.ttft_us = int((time.perf_counter() - asked_at) * 1e6)
        return CommittedAttempt(endpoint, attempt, self._deadlines, found, encoded.dropped)

    async def _inlined(self, endpoint: Endpoint) -> GenerationRequest | None:
        """Return the request with the media that ``endpoint`` takes as data alone; ``None`` if it has none of them."""
        alone = self._dispatcher.data_alone[endpoint.wire_format]
        self._media = self._media or RequestMedia(self._dispatcher.fetcher)
        asked = await self._parsed()
        found = await self._media.inlined(asked, lambda part: alone(part, endpoint))
        return None if found is asked else found

    async def _parsed(self) -> GenerationRequest:
        source = self._source
        if source.made is not None:
            return source.made
        return await translate(self._exchange.request.body_bytes, lambda: source.parsed)

    async def _stream(
        self,
        wire: WireFormat,
        encoded: Encoded,
        request: HttpRequest,
        endpoint: Endpoint,
        attempt: Attempt,
        timeout_s: float,
        redactor: SecretRedactor,
    ) -> CommittedAttempt:
        sent = time.perf_counter()
        response = await self._dispatcher.upstream.stream(request, timeout_s)
        try:
            attempt.status = response.status
            left_s = timeout_s - (time.perf_counter() - sent)
            if response.status != 200:
                body = redactor.redact_bytes(await _read_body(response, left_s))
                raise wire.error(response.status, body, response.headers, endpoint)
            if response.headers.get("content-type", "").startswith("application/json"):
                # Some servers answer a streaming request with one JSON body.
                body = redactor.redact_bytes(await _read_body(response, left_s))
                events = wire.decode(body, encoded.context)
                found = self._complete([EventBatch(events, has_content=True)])
                response.finish()
                response.close()
                attempt.ttft_us = int((time.perf_counter() - sent) * 1e6)
                return CommittedAttempt(endpoint, attempt, self._deadlines, found, encoded.dropped)
            reader = EventReader(response, wire.decoder(encoded.context), redactor)
            first = self._checked(await reader.read_until_content(left_s))
        except BaseException:
            response.close()
            raise
        attempt.ttft_us = int((time.perf_counter() - sent) * 1e6)
        return CommittedAttempt(endpoint, attempt, self._deadlines, first, encoded.dropped, response, reader, redactor)

    def _complete(self, found: list[Batch]) -> list[Batch]:
        """Return the batches of a non-streaming response. Raises ``ApiError`` where it fails."""
        if (failed := failure_of(found)) is not None:
            raise failed
        return self._checked(found)

    def _checked(self, batches: list[Batch]) -> list[Batch]:
        """Return ``batches``. Raises ``ApiError`` for a refusal where another model may answer."""
        if self._ahead is None or not any(map(_may_refuse, batches)):
            return batches
        events = [event for batch in batches for event in batch.events()]
        if (refused := refusal_of(events)) and self._ahead.has_other_model():
            raise refused
        return [EventBatch(events, has_content=True)]


def _decoded(
    wire: WireFormat, body: bytes, headers: Mapping[str, str], context: DecodeContext, redactor: SecretRedactor
) -> list[Batch]:
    """Return the batches of a non-streaming response. Some servers answer with a stream that was not asked for."""
    if body.startswith(b"{") or not headers.get("content-type", "").startswith("text/event-stream"):
        return wire.decode_batches(body, context)
    decoder, parser = wire.decoder(context), EventParser(MAX_BODY_BYTES)
    found = [decoder.feed(name, data) for name, data in (*parser.feed(body), *parser.finish())]
    events = [event for batch in found if batch is not None for event in batch.events()]
    return StreamRedactor(redactor).take([EventBatch([*events, *decoder.end()], has_content=True)])


def _may_refuse(batch: Batch) -> bool:
    """Return whether the events of ``batch`` have to be read to tell whether it refuses."""
    if isinstance(batch, EventBatch):
        return refusal_of(batch.found) is not None
    return any(one.finish_reason == "content_filter" or b'"refusal":"' in bytes(one.delta) for one in batch.spliced)


async def _read_body(response: StreamResponse, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(max(timeout_s, 0.001)):
            return await response.read()
    except TimeoutError:
        raise DeadlineMissed("The provider's response was not complete in time") from None


def refusal_of(events: Sequence[Event]) -> ApiError | None:
    """Return the error for events that refuse before any other content, else ``None``."""
    refused: str | None = None
    refusals: set[tuple[int, int]] = set()
    for event in events:
        match event:
            case PartBegan(part=Refusal()):
                refusals.add((event.choice, event.index))
                refused = refused or "refusal"
            case PartBegan() if _says_something(event):
                return None
            case PartDelta() if (event.choice, event.index) not in refusals:
                return None
            case Finished(reason="content_filter"):
                refused = event.native or "content_filter"
    if refused is None:
        return None
    kind = "content_policy_violation" if refused in ("content_filter", "sensitive") else "refusal"
    return ApiError(kind, "The model refused to answer", metadata={"provider_code": refused})


def _says_something(event: PartBegan) -> bool:
    part = event.part
    return not hasattr(part, "text") or bool(part.text)


def discard(late: CommittedAttempt) -> Usage | None:
    """Close a response that came too late to be used; return the usage that it has reported so far."""
    if late.response is not None:
        late.response.close()
    return usage_of(late.first)


def _report_reasoning(encoded: Encoded) -> Encoded:
    """Return ``encoded`` with the report that reasoning was left out."""
    return msgspec.structs.replace(encoded, dropped=tuple(sorted({*encoded.dropped, "reasoning"})))
