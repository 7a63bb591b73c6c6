"""Declare what a wire format of the lab does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lab.conversation import Conversation
from lab.script import Script
from lab.shapes import RequestRefused
from lab.text import Ask, Completion


class ErrorWire(Protocol):
    """Say how a provider writes errors; ``not_json`` is its sentence for a body that is none."""

    not_json: str

    def error(self, status: int) -> dict[str, Any]: ...
    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]: ...

    def failure(self, status: int) -> RequestRefused:
        """Return the vendor's error with ``status``."""


class Wire(ErrorWire, Protocol):
    """Wire format of a provider: read requests; write responses, streams and errors.

    ``turns`` is the field with the turns of the conversation; ``runs_tools`` is true if the vendor runs the tools of
    ``lab/responses_hosted.py``. ``refuse`` is for requests that the vendor refuses.
    ``converse``, ``whole_script`` and ``script_events`` are for scripted responses, ``read``, ``whole`` and ``events``
    for those that the model draws.
    """

    runs_tools: bool
    turns: str

    def read(self, body: dict[str, Any]) -> Ask: ...
    def cache(self, body: dict[str, Any], completion: Completion, endpoint: str) -> Completion: ...
    def whole(self, completion: Completion, body: dict[str, Any]) -> dict[str, Any]: ...
    def events(self, completion: Completion, body: dict[str, Any]) -> list[bytes]: ...

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        """Raise ``RequestRefused`` if the vendor refuses this request."""

    def converse(self, body: dict[str, Any]) -> Conversation: ...

    def unsaid(self, script: Script) -> str | None:
        """Return what of ``script`` the format cannot say at all."""

    def whole_script(
        self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]
    ) -> dict[str, Any]: ...
    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]: ...

    def error_event(self, request_id: str, number: int) -> bytes:
        """Return the event with which a stream fails; ``number`` events came before it."""
