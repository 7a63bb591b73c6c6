"""Build what the tests of the Converse format share: endpoints, encoded bodies, decoded streams."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.catalogue.types import Endpoint
from lab.bedrock_frames import event_frame
from lab.bedrock_signature import ACCESS_KEYS, SESSION_TOKEN, TEMPORARY
from lab.server import Lab, create_app
from router_service.core.errors import ApiError
from router_service.core.events import Event, Failed, Result, fold
from router_service.core.generation import GenerationRequest, Message
from router_service.providers.formats.bedrock_converse.format import BedrockConverseFormat
from router_service.providers.wire_format import DecodeContext, Encoded
from router_service.upstream.framing.aws_event_stream import AwsEventParser
from tests.conftest import Stack, open_stack, serving
from tests.router_service.providers.formats.asked import ask
from tests.router_service.providers.formats.parameter_cases import endpoint_for

FORMAT = BedrockConverseFormat()
CLAUDE, NEWER, NOVA = (
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-opus-4-7",
    "amazon.nova-pro-v1:0",
)
NOVA_2, OSS, LLAMA = "amazon.nova-2-lite-v1:0", "openai.gpt-oss-120b-1:0", "meta.llama3-3-70b-instruct-v1:0"
OLD = "anthropic.claude-opus-4-1-20250805-v1:0"
ORIGIN, CLAUDE_ORIGIN = "bedrock_converse/amazon-bedrock", "bedrock_converse/amazon-bedrock/claude"
CONTEXT = DecodeContext(generation_id="gen-1", origin=CLAUDE_ORIGIN)
Body = dict[str, Any]


def endpoint(model: str = CLAUDE) -> Endpoint:
    """Return an endpoint for ``model``."""
    return endpoint_for("bedrock_converse", "amazon-bedrock", model)


def encode(request: GenerationRequest, model: str = CLAUDE) -> Encoded:
    """Return the encoded request."""
    return FORMAT.encode(request, endpoint(model), "gen-1")


def body_of(request: GenerationRequest, model: str = CLAUDE) -> Body:
    """Return the JSON body that is sent."""
    found: Body = json.loads(encode(request, model).request.body)
    return found


def turns_of(*messages: Message, model: str = CLAUDE) -> list[Body]:
    """Return the turns that are sent for ``messages``."""
    return list(body_of(ask(*messages), model)["messages"])


def use(call_id: str, name: str = "hoist", given: Any = None) -> Body:
    """Return the block of a call."""
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": given or {}}}


def result_block(call_id: str, *texts: str, **fields: Any) -> Body:
    """Return the block of a result."""
    return {"toolResult": {"toolUseId": call_id, "content": [{"text": text} for text in texts]} | fields}


def events_of(pieces: Iterable[bytes], context: DecodeContext = CONTEXT) -> list[Event]:
    """Decode a stream that arrives in ``pieces`` as the router does: damaged messages fail the answer."""
    decoder, parser, found = FORMAT.decoder(context), AwsEventParser(), []
    try:
        for piece in pieces:
            for event, data in parser.feed(piece):
                batch = decoder.feed(event, data)
                found += batch.events() if batch is not None else []
    except ApiError as error:
        return [*found, Failed(error)]
    return found + decoder.end()


def frames(*events: tuple[str, Body]) -> list[bytes]:
    """Return the messages of ``events``."""
    return [event_frame(name, body) for name, body in events]


def stream_of(*events: tuple[str, Body], context: DecodeContext = CONTEXT) -> Result:
    """Return the result of a stream of ``events``."""
    return fold(events_of(frames(*events), context))


def read(response: Any, context: DecodeContext = CONTEXT) -> Result:
    """Return the result of a non-streaming response."""
    return fold(FORMAT.decode(json.dumps(response).encode(), context))


def answered(*content: Body, reason: str = "end_turn", **fields: Any) -> Body:
    """Return a response with ``content``."""
    usage = {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": reason, "usage": usage, "metrics": {"latencyMs": 1}} | fields


def account_file(folder: Path, aws: str, secret_access_key: str = ACCESS_KEYS[TEMPORARY], more: str = "") -> Path:
    """Write the configuration of an account whose requests go to the lab at ``aws``, and return its path."""
    file = folder / "portolan.toml"
    file.write_text(
        f'[providers.amazon-bedrock]\nbase_url = "{aws}/amazon-bedrock/v1"\n'
        f'[providers.amazon-bedrock.aws]\nregion = "us-east-1"\naccess_key_id = "{TEMPORARY}"\n'
        f'secret_access_key = "{secret_access_key}"\nsession_token = "{SESSION_TOKEN}"\n{more}'
    )
    return file


@contextmanager
def bedrock_stack(folder: Path, secret_access_key: str = ACCESS_KEYS[TEMPORARY]) -> Iterator[tuple[Stack, str]]:
    """Yield a router that signs its requests to a strict lab, and the lab's address."""
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as aws:
        file = account_file(folder, aws, secret_access_key, '[catalogue]\nenabled = ["amazon-bedrock"]\n')
        with open_stack(folder / "data", config=file) as stack:
            yield stack, aws
