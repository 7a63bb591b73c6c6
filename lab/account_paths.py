"""Check addresses that contain an account, as Azure and Cloudflare do, before a request is read any further.

Sources, read on 2026-11-30: Azure docs, "Azure OpenAI REST API reference" and "Azure OpenAI in Microsoft Foundry Models
v1 API"; the error bodies that users quote in issues of MicrosoftDocs/azure-docs (#114013), chatboxai/chatbox (#646) and
openai/openai-python (#3282). Cloudflare docs: Workers AI, "OpenAI compatible API endpoints" and "Errors"; issues of
anomalyco/opencode (#18552, #23773) and cloudflare/workers-sdk (#4522).
"""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request

from lab.intake import read_body
from lab.offers import offered
from lab.shapes import RequestRefused
from lab.wire import ErrorWire

AZURE = frozenset({"azure", "azure-cognitive-services"})
CLOUDFLARE = frozenset({"cloudflare-workers-ai", "cloudflare-ai-gateway"})
NO_RESOURCE = "Resource not found"
NO_ACCESS = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
    "please wait a moment and try again."
)
# A deployment of the lab has the name of its model, or this before it.
OWN_NAME = "my-"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_ACCOUNT = re.compile(r"[0-9a-f]{32}|lab")
_TASKS = ("chat", "embeddings", "images")
_V1 = "openai/v1"


async def read_at_azure(request: Request, wire: ErrorWire) -> dict[str, Any]:
    """Return the body with the model behind the deployment. Raises ``RequestRefused`` as Azure does."""
    if not request.headers.get("api-key") and not request.headers.get("authorization", "").startswith("Bearer "):
        raise _azure(401, "401", NO_ACCESS)
    version = request.query_params.get("api-version")
    is_v1 = f"/{_V1}/" in request.url.path
    if version not in (None, "v1", "preview") if is_v1 else not _VERSION.fullmatch(version or ""):
        raise _azure(404, "404", NO_RESOURCE)
    body = await read_body(request, wire)
    name = request.path_params.get("deployment", body.get("model"))
    provider = request.path_params["provider"]
    if not isinstance(name, str):
        return body
    model = name.removeprefix(OWN_NAME)
    # Images are no offers of Azure in the catalogue; OpenAI has the same.
    known = any(model in offered(slug, task) for slug in (provider, "openai") for task in _TASKS)
    if not known:
        raise _azure(404, "DeploymentNotFound", NO_DEPLOYMENT)
    return body | {"model": model}


async def read_at_foundry(request: Request, wire: ErrorWire) -> dict[str, Any]:
    """Return the body of a request for Claude, whose address has no version, with the model behind the deployment."""
    if not request.headers.get("x-api-key") and not request.headers.get("authorization", "").startswith("Bearer "):
        raise _azure(401, "401", NO_ACCESS)
    body = await read_body(request, wire)
    name = str(body.get("model")).removeprefix(OWN_NAME)
    if name not in offered(request.path_params["provider"], "chat"):
        raise _azure(404, "DeploymentNotFound", NO_DEPLOYMENT)
    return body | {"model": name}


async def read_at_cloudflare(request: Request, wire: ErrorWire) -> dict[str, Any]:
    """Return the body. Raises ``RequestRefused`` for what Cloudflare refuses of address, token and model."""
    if not _ACCOUNT.fullmatch(request.path_params["account"]):
        path = request.url.path.removeprefix(f"/{request.path_params['provider']}")
        raise cloudflare_refusal(404, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?")
    names = ("authorization", "cf-aig-authorization")
    if not any(request.headers.get(name, "").startswith("Bearer ") for name in names):
        raise cloudflare_refusal(401, 10000, "Authentication error")
    body = await read_body(request, wire)
    provider = request.path_params["provider"]
    if not any(body.get("model") in offered(provider, task) for task in _TASKS):
        raise cloudflare_refusal(400, 5007, f"No such model {body.get('model')} or task")
    return body


def no_azure_path() -> dict[str, Any]:
    """Return the body of the response at a path that Azure does not have."""
    return {"error": {"code": "404", "message": NO_RESOURCE}}


def cloudflare_refusal(status: int, code: int, message: str) -> RequestRefused:
    """Return a refusal in Cloudflare's envelope."""
    envelope = {"result": None, "success": False, "errors": [{"code": code, "message": message}], "messages": []}
    return RequestRefused(message, status=status, code=str(code), envelope=envelope)


def _azure(status: int, code: str, message: str) -> RequestRefused:
    return RequestRefused(message, status=status, code=code, envelope={"error": {"code": code, "message": message}})
