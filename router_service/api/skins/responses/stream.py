"""Write the events of an answer as the server-sent events of a response.

Sources: the Open Responses specification for order and numbers, the reference's OpenAPI document for the fields.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from data.catalogue.types import Catalogue
from router_service.api.metadata import metadata
from router_service.api.skins.responses.answer_writer import AnswerWriter
from router_service.api.skins.responses.errors import error_event, error_field, is_length
from router_service.api.skins.responses.event_log import EventLog, members
from router_service.api.skins.responses.render import ResponseFields, incomplete_details, response_json
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import Ended, Event, Failed, Finished, PartBegan, PartDelta, PartEnded, PartProgressed
from router_service.core.exchange import Exchange

_TYPES = {"completed": "response.completed", "incomplete": "response.incomplete", "failed": "response.failed"}


class ResponseRenderer:
    """Implement ``StreamRenderer``. ``body`` is the finished response, and ``error`` that of one which failed."""

    __slots__ = (
        "_answer",
        "_catalogue",
        "_echo",
        "_exchange",
        "_finished",
        "_is_started",
        "_log",
        "body",
        "error",
        "over",
    )

    def __init__(
        self,
        exchange: Exchange,
        catalogue: Catalogue,
        echo: str,
        namespaces: dict[str, tuple[str, str]],
        *,
        exclude_reasoning: bool = False,
    ) -> None:
        self.over = False
        self.body = ""
        self.error: ApiError | None = None
        self._exchange = exchange
        self._catalogue = catalogue
        self._echo = echo
        self._log = EventLog()
        self._answer = AnswerWriter(self._log, exchange.request.id, namespaces, exclude_reasoning=exclude_reasoning)
        self._is_started = False
        self._finished: Finished | None = None

    def render(self, batches: Sequence[Batch]) -> bytes:
        """Return complete server-sent events for ``batches``."""
        return self.feed(event for batch in batches for event in batch.events())

    def feed(self, events: Iterable[Event]) -> bytes:
        """Return complete server-sent events for ``events``, which may be none."""
        for event in events:
            if self.over:
                break
            try:
                self._event(event)
            except ApiError as error:
                self._fail(error)
        return self._log.take()

    def fail(self, error: ApiError) -> bytes:
        """Return the events that end a stream which has no answer; none if the stream is over."""
        if not self.over:
            self._fail(error)
        return self._log.take()

    def _event(self, event: Event) -> None:
        self._start()
        match event:
            case PartDelta(choice=0):
                self._answer.add(event)
            case PartBegan(choice=0):
                self._answer.begin(event)
            case PartEnded(choice=0):
                self._answer.end(event)
            case PartProgressed(choice=0):
                self._answer.progress(event)
            case Finished(choice=0):
                self._finished = event
                if event.reason != "error":
                    self._answer.finish(event.reason)
            case Failed():
                raise event.error
            case Ended():
                self._end()

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            response = response_json(self._exchange, self._echo, ResponseFields(status="in_progress"))
            self._log.write("response.created", f'"response":{response}')
            self._log.write("response.in_progress", f'"response":{response}')

    def _end(self) -> None:
        finished = self._finished or Finished(choice=0, reason="error")
        if finished.reason == "error":
            native = f" ({finished.native})" if finished.native else ""
            raise ApiError(
                "provider_unavailable", f"The provider ended the answer with an error{native}; send it again"
            )
        details = incomplete_details(finished.reason)
        if details is not None:
            fields = ResponseFields(status="incomplete", incomplete_details=details)
        else:
            fields = ResponseFields(status="completed", completed_at=int(time.time()))
        self._close(fields)

    def _fail(self, error: ApiError) -> None:
        """End the response with ``error``, which is told before unless it counts as an end at the length."""
        self._start()
        self.error = error
        more: dict[str, Any] = {"error_type": error.error_type}
        if is_length(error):
            details = incomplete_details("length")
            self._answer.finish("length")
            self._close(ResponseFields(status="incomplete", incomplete_details=details, more=more), error)
            return
        self._log.write("error", members(**error_event(error)))
        self._close(ResponseFields(status="failed", error=error_field(error), more=more), error)

    def _close(self, fields: ResponseFields, error: ApiError | None = None) -> None:
        self.over = True
        fields.output = self._answer.output()
        fields.more = fields.more | metadata(self._exchange, self._catalogue, error)
        self.body = response_json(self._exchange, self._echo, fields)
        self._log.write(_TYPES[fields.status], f'"response":{self.body}')
        self._log.end()
