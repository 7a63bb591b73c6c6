"""Reads the golden wire fixtures of ``tests/fixtures/wire``; its README says what each file holds."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

WIRE = Path(__file__).parent / "fixtures" / "wire"
FORMATS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")
MEDIA_TYPES = {".json": "application/json", ".html": "text/html", ".txt": "text/plain"}
Mode = Literal["response", "stream"]


@dataclass(frozen=True)
class WireEndpoint:
    """Holds what the fixtures of one format assume about the endpoint; prices in nano-USD per million tokens."""

    provider: str
    provider_name: str
    upstream_model: str
    context_length: int
    max_completion_tokens: int
    price: dict[str, int]


@dataclass(frozen=True)
class WireCase:
    """Holds one case. ``documented_request`` is ``None`` where no vendor says what should be sent.

    ``stream_options`` is false where the vendor refuses that field of a streamed request.
    """

    format: str
    name: str
    title: str
    source: str
    read: str
    endpoint: WireEndpoint
    request: dict[str, Any]
    documented_request: dict[str, Any] | None
    response: bytes | None
    stream: bytes | None
    status: int = 200
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    ending: str = "complete"
    gate_after: int | None = None
    json_to_stream: bool = False
    stream_options: bool = True

    @property
    def id(self) -> str:
        return f"{self.format}/{self.name}"

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Return the ways in which the case can be asked for: an error answers either of them."""
        response: tuple[Mode, ...] = ("response",) if self.response is not None else ()
        streamed = self.stream is not None or self.status != 200 or self.json_to_stream
        return (*response, "stream") if streamed else response


def load_cases(format: str) -> list[WireCase]:
    """Return the cases of ``format`` by name."""
    folder = WIRE / format
    endpoint = tomllib.loads((folder / "endpoint.toml").read_text())
    return [_load(format, path, endpoint) for path in sorted(folder.iterdir()) if path.is_dir()]


def _load(format: str, folder: Path, endpoint: dict[str, Any]) -> WireCase:
    about = tomllib.loads((folder / "case.toml").read_text())
    own = {name: about.pop(name) for name in ("provider", "provider_name", "upstream_model") if name in about}
    response = next(iter(folder.glob("upstream_response.*")), None)
    stream = folder / "upstream_stream.sse"
    if response is not None:
        about["media_type"] = MEDIA_TYPES[response.suffix]
    return WireCase(
        format=format,
        name=folder.name,
        endpoint=WireEndpoint(**endpoint | own),
        request=_json(folder / "request.json") or _json(folder.parent / "request.json"),
        documented_request=_documented_request(folder, own),
        response=None if response is None else response.read_bytes(),
        stream=stream.read_bytes() if stream.exists() else None,
        **about,
    )


def _documented_request(folder: Path, own: dict[str, Any]) -> dict[str, Any] | None:
    if (folder / "request.json").exists():
        return _json(folder / "upstream_request.json")
    found = _json(folder.parent / "upstream_request.json")
    # Some vendors name the model in the address.
    return found | ({"model": own.get("upstream_model", found["model"])} if "model" in found else {})


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
