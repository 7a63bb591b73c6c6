"""Implement ``TaskSkin`` for embeddings."""

from __future__ import annotations

from router_service.api.skins.embeddings.parse import ClientEmbeddingsRequest, longest_input, parse_embeddings
from router_service.api.skins.embeddings.render import render_embeddings
from router_service.api.skins.task_body import TaskEndpoint, note_longest_input, read_fields_of_task
from router_service.core.embeddings import EmbeddingsResult
from router_service.core.exchange import Exchange
from router_service.core.outgoing_json import outgoing_json


class EmbeddingsEndpoint(TaskEndpoint):
    """Serve ``POST /embeddings``."""

    name = "embeddings"

    def parse(self, exchange: Exchange) -> ClientEmbeddingsRequest:
        asked = parse_embeddings(read_fields_of_task(exchange, "input"))
        note_longest_input(exchange, longest_input(asked.inputs))
        return asked

    def response(self, exchange: Exchange, asked: ClientEmbeddingsRequest, result: EmbeddingsResult) -> bytes:
        return outgoing_json(render_embeddings(result, exchange, as_base64=asked.base64))
