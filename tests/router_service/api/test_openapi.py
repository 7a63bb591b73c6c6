"""Test that the OpenAPI document says what the routes take and return, and names what the reference documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import yaml

from router_service.api.skins.chat import parse as chat_parse
from router_service.api.skins.completions import parse as completions_parse
from router_service.api.skins.messages import parse as messages_parse
from router_service.api.skins.responses import parse as responses_parse
from tests.conftest import Stack, open_stack

REFERENCE = Path(__file__).parents[4] / "shared/reference/openrouter_openapi.yaml"
needs_reference = pytest.mark.skipif(not REFERENCE.exists(), reason="the reference's document is not at hand")
MODEL, CLAUDE = "openai/gpt-oss-120b", "anthropic/claude-sonnet-4.5"
TOOL = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}}
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
CHAT, MESSAGES = "/api/v1/chat/completions", "/api/v1/messages"
RESPONSES, COMPLETIONS = "/api/v1/responses", "/api/v1/completions"
ASKED: dict[str, Any] = {"model": MODEL, "input": "hello"}
PROMPT: dict[str, Any] = {"model": MODEL, "prompt": "hello", "max_tokens": 20}
EMBED: dict[str, Any] = {"model": "openai/text-embedding-3-small", "input": "hello"}
RANK: dict[str, Any] = {"model": "cohere/rerank-v3.5", "query": "tide", "documents": ["a chart", "a tide table"]}
DRAW: dict[str, Any] = {"model": "openai/gpt-image-1-mini", "prompt": "a chart"}
GET = [
    "/api/v1/models",
    "/api/v1/models?use_rss=false&limit=2",
    "/api/v1/models/user",
    "/api/v1/models/count",
    f"/api/v1/models/{MODEL}",
    f"/api/v1/model/{MODEL}",
    f"/api/v1/models/{MODEL}/endpoints",
    "/api/v1/embeddings/models",
    "/api/v1/images/models",
    "/api/v1/images/models/openai/gpt-image-1/endpoints",
    "/api/v1/endpoints/zdr",
    "/api/v1/providers",
    "/api/v1/key",
    "/health",
]
POST: list[tuple[str, dict[str, Any]]] = [
    (CHAT, BODY),
    (CHAT, BODY | {"tools": [TOOL], "tool_choice": "required", "reasoning": {"effort": "low"}, "stop": ["x"]}),
    (CHAT, BODY | {"model": CLAUDE, "provider": {"sort": {"by": "price"}, "max_price": {"prompt": 9}}}),
    (MESSAGES, BODY | {"system": "Be brief.", "metadata": {"user_id": "u"}}),
    (f"{MESSAGES}/count_tokens", {name: BODY[name] for name in ("model", "messages")}),
    (RESPONSES, ASKED),
    (RESPONSES, ASKED | {"model": CLAUDE, "instructions": "Be brief.", "reasoning": {"effort": "low"}, "store": False}),
    (RESPONSES, ASKED | {"tools": [{"type": "function", "name": "tide", "parameters": None}], "metadata": {"a": "b"}}),
    (COMPLETIONS, PROMPT),
    (COMPLETIONS, PROMPT | {"model": CLAUDE, "stop": ["x"], "echo": False, "suffix": None}),
    ("/api/v1/embeddings", EMBED),
    ("/api/v1/embeddings", EMBED | {"input": ["a", "b"], "dimensions": 8, "encoding_format": "base64", "user": "u"}),
    ("/api/v1/embeddings", EMBED | {"input": [[1, 2], [3]], "provider": {"sort": "price"}}),
    ("/api/v1/rerank", RANK),
    ("/api/v1/rerank", RANK | {"documents": [{"text": "a tide table"}], "top_n": 1, "user": "u"}),
    ("/api/v1/images", DRAW),
    ("/api/v1/images/generations", DRAW | {"n": 2, "size": "1024x1024", "quality": "low", "background": "opaque"}),
    ("/api/v1/route/preview", BODY),
    ("/api/v1/route/preview", {"models": [MODEL, CLAUDE]}),
]  # fmt: skip


class Document:
    """Hold the OpenAPI document of a router, and validate bodies by it."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.schemas: dict[str, Any] = content["components"]["schemas"]

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """Return the operation that serves ``path``, which may have a query."""
        path = path.partition("?")[0]
        exact = self.content["paths"].get(path)
        if exact is None:
            matching = (name for name in self.content["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", name), path))
            exact = self.content["paths"][next(matching)]
        found: dict[str, Any] = exact[method]
        return found

    def check(self, schema: dict[str, Any], body: object) -> None:
        """Fail with the first difference between ``body`` and ``schema``."""
        jsonschema_rs.validator_for(schema | {"components": self.content["components"]}).validate(body)

    def check_response(self, method: str, path: str, response: httpx2.Response) -> None:
        """Fail if the document does not declare ``response``."""
        responses = self.operation(method, path)["responses"]
        status = str(response.status_code)
        declared = responses.get(status) or responses[f"{status[0]}XX"]
        kind = response.headers["content-type"].partition(";")[0]
        self.check(declared["content"][kind]["schema"], response.json())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("openapi")) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(stack: Stack) -> Document:
    return Document(httpx2.get(f"{stack.url}/openapi.json").json())


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(REFERENCE.read_text(), Loader=loader)
    return found


@pytest.mark.parametrize("path", GET)
def test_responses_have_the_declared_fields_and_no_others(stack: Stack, document: Document, path: str) -> None:
    with stack.client as client:
        found = client.get(path)
    assert found.status_code == 200
    document.check_response("get", path, found)


@pytest.mark.parametrize(("path", "body"), POST)
def test_requests_and_their_responses_are_as_declared(
    stack: Stack, document: Document, path: str, body: dict[str, Any]
) -> None:
    document.check(document.operation("post", path)["requestBody"]["content"]["application/json"]["schema"], body)
    with stack.client as client:
        found = client.post(path, json=body)
        assert found.status_code == 200, found.text
        document.check_response("post", path, found)
        if path in (CHAT, MESSAGES, RESPONSES, COMPLETIONS):
            for route in ("generation", "generation/explain"):
                about = client.get(f"/api/v1/{route}", params={"id": found.headers["x-generation-id"]})
                document.check_response("get", f"/api/v1/{route}", about)


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
@pytest.mark.parametrize(("path", "body"), [(CHAT, BODY), (RESPONSES, ASKED), (COMPLETIONS, PROMPT)])
def test_chunks_of_a_stream_are_as_declared(
    stack: Stack, document: Document, path: str, body: dict[str, Any], model: str
) -> None:
    with stack.client as client:
        text = client.post(path, json=body | {"model": model, "stream": True}).text
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    schema = document.operation("post", path)["responses"]["200"]["content"]["text/event-stream"]["schema"]
    chunks = [json.loads(line) for line in lines[:-1]]
    assert len(chunks) > 2 and lines[-1] == "[DONE]"
    for chunk in chunks:
        document.check(schema, chunk)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", CHAT, {"model": "acme/unknown"} | {"messages": []}),
        ("post", CHAT, BODY | {"provider": {"only": ["no-such-provider"]}}),
        ("post", MESSAGES, BODY | {"model": "acme/unknown"}),
        ("post", f"{MESSAGES}/count_tokens", {}),
        ("post", RESPONSES, ASKED | {"model": "acme/unknown"}),
        ("post", RESPONSES, ASKED | {"provider": {"only": ["no-such-provider"]}}),
        ("post", COMPLETIONS, {}),
        ("post", "/api/v1/route/preview", {}),
        ("get", "/api/v1/models?limit=0", None),
        ("get", "/api/v1/model/acme/unknown", None),
        ("get", "/api/v1/generation?id=gen-1-x", None),
        ("get", "/api/v1/generation/content?id=gen-1-x", None),
    ],
)
def test_errors_are_as_declared(stack: Stack, document: Document, method: str, path: str, body: object) -> None:
    with stack.client as client:
        found = client.request(method, path, json=body) if body is not None else client.request(method, path)
    assert 400 <= found.status_code < 500
    document.check_response(method, path, found)


def test_the_routes_that_need_a_key_say_so(stack: Stack, document: Document) -> None:
    assert document.content["components"]["securitySchemes"].keys() == {"bearer", "apiKey"}
    for path, operations in document.content["paths"].items():
        for method, operation in operations.items():
            address = path.replace("{author}", "openai").replace("{slug}", "gpt-oss-120b")
            query = {"id": "gen-1-x"} if "/generation" in path else {}
            content = b"{}" if method == "post" else None
            found = httpx2.request(method.upper(), f"{stack.url}{address}", params=query, content=content)
            assert ("security" in operation) is (found.status_code == 401), (method, path, found.status_code)


def test_every_reference_within_the_document_leads_somewhere(document: Document) -> None:
    text = json.dumps(document.content)
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names <= document.schemas.keys()
    operations = [one for path in document.content["paths"].values() for one in path.values()]
    assert operations and not any("422" in operation["responses"] for operation in operations)


def test_every_field_that_a_skin_reads_is_documented(document: Document) -> None:
    chat = document.schemas["ChatRequestBody"]["properties"].keys()
    messages = document.schemas["MessagesRequestBody"]["properties"].keys()
    assert chat >= chat_parse._READ_FIELDS
    # These two are refused, and the other four are accepted from clients of other APIs without a meaning.
    assert messages_parse._READ - {"n", "thread"} <= messages
    assert messages_parse._ROUTER_ONLY - {"transforms", "usage", "debug", "preset"} <= messages
    assert document.schemas["ResponsesRequestBody"]["properties"].keys() >= responses_parse.READ_FIELDS
    completions = document.schemas["CompletionRequestBody"]["properties"].keys()
    # These belong to chat completions and are refused.
    assert completions_parse.READ_FIELDS - {"function_call", "functions", "messages"} <= completions


@needs_reference
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ChatRequest", "ChatRequestBody"),
        ("MessagesRequest", "MessagesRequestBody"),
        ("ResponsesRequest", "ResponsesRequestBody"),
    ],
)
def test_every_request_field_of_the_reference_is_documented(
    reference: dict[str, Any], document: Document, name: str, ours: str
) -> None:
    assert reference["components"]["schemas"][name]["properties"].keys() <= document.schemas[ours]["properties"].keys()


@needs_reference
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("Model", "ModelBody"),
        ("ModelsListResponse", "ModelListBody"),
        ("PublicEndpoint", "EndpointBody"),
        ("PublicPricing", "PricingBody"),
        ("ModelArchitecture", "ArchitectureBody"),
        ("ChatResult", "ChatCompletionBody"),
        ("ChatChoice", "ChatChoiceBody"),
        ("ChatStreamChunk", "ChatChunkBody"),
        ("ChatUsage", "ChatUsageBody"),
        ("BaseResponsesResult", "ResponseBody"),
    ],
)
def test_every_response_field_that_the_reference_requires_is_documented(
    reference: dict[str, Any], document: Document, name: str, ours: str
) -> None:
    assert set(reference["components"]["schemas"][name]["required"]) <= document.schemas[ours]["properties"].keys()


@needs_reference
@pytest.mark.parametrize("path", ["/generation", "/key", "/providers", "/endpoints/zdr", "/models/count"])
def test_every_field_of_the_references_data_is_documented(
    reference: dict[str, Any], document: Document, path: str
) -> None:
    wanted = _data_fields(reference, _body_schema(reference, path))
    found = _data_fields(document.content, _body_schema(document.content, f"/api/v1{path}"))
    assert wanted and wanted <= found


def _body_schema(content: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = content["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return found


def _data_fields(content: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """Return the required fields of ``data``, or of its entries."""

    def resolved(one: dict[str, Any]) -> dict[str, Any]:
        name = one.get("$ref", "").rpartition("/")[2]
        return resolved(content["components"]["schemas"][name]) if name else one

    data = resolved(resolved(schema)["properties"]["data"])
    return set(resolved(data["items"] if data.get("type") == "array" else data).get("required", ()))


@needs_reference
@pytest.mark.parametrize(
    "path", ["/models", "/models/count", "/embeddings/models", "/key", "/generation", "/endpoints/zdr"]
)
def test_responses_are_valid_by_the_reference(stack: Stack, reference: dict[str, Any], path: str) -> None:
    with stack.client as client:
        answered = client.post(CHAT, json=BODY)
        query = {"id": answered.headers["x-generation-id"]} if path == "/generation" else {}
        found = client.get(f"/api/v1{path}", params=query).json()
    schema = _body_schema(reference, path) | {"components": reference["components"]}
    errors = [(e.instance_path, e.message) for e in jsonschema_rs.validator_for(schema).iter_errors(found)]
    # The reference lists the names of its own providers.
    assert [error for error in errors if error[0][-1] != "provider_name"] == []


@needs_reference
@pytest.mark.parametrize("model", [MODEL, CLAUDE])
def test_responses_of_the_responses_api_are_valid_by_the_reference(
    stack: Stack, reference: dict[str, Any], model: str
) -> None:
    def check(name: str, body: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": reference["components"]}
        jsonschema_rs.validator_for(schema).validate(body)

    tool = {"type": "function", "name": "tide", "parameters": {"type": "object", "properties": {}}}
    for fields in ({}, {"tools": [tool], "tool_choice": "auto"}, {"max_output_tokens": 16}):
        asked = ASKED | {"model": model} | fields
        with stack.client as client:
            check("OpenResponsesResult", client.post(RESPONSES, json=asked).json())
            text = client.post(RESPONSES, json=asked | {"stream": True}).text
        lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
        for line in lines[:-1]:
            check("StreamEvents", json.loads(line))


@needs_reference
@pytest.mark.parametrize(("path", "asked"), [("/embeddings", EMBED), ("/rerank", RANK), ("/images", DRAW)])
def test_answers_of_other_tasks_are_valid_by_the_reference(
    stack: Stack, reference: dict[str, Any], path: str, asked: dict[str, Any]
) -> None:
    with stack.client as client:
        found = client.post(f"/api/v1{path}", json=asked).json()
    content = reference["paths"][path]["post"]["responses"]["200"]["content"]
    schema = content["application/json"]["schema"] | {"components": reference["components"]}
    jsonschema_rs.validator_for(schema).validate(found)


@needs_reference
@pytest.mark.parametrize("path", ["/images/models", "/images/models/{author}/{slug}/endpoints"])
def test_lists_of_image_models_are_valid_by_the_reference(stack: Stack, reference: dict[str, Any], path: str) -> None:
    with stack.client as client:
        found = client.get(f"/api/v1{path.format(author='openai', slug='gpt-image-1')}").json()
    schema = _body_schema(reference, path) | {"components": reference["components"]}
    jsonschema_rs.validator_for(schema).validate(found)
