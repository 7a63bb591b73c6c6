"""Write the errors of OpenAI's APIs, which its chat completions and its responses share."""

from __future__ import annotations

from typing import Any

from lab.shapes import RequestRefused

# The documented error codes; other statuses are told as errors of the server.
# Source: https://platform.openai.com/docs/guides/error-codes
FAILURES = {
    400: ("invalid_request_error", None, "Your request was malformed."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
SERVER_ERROR = ("server_error", None, "The server had an error while processing your request. Sorry about that!")


class OpenAIErrors:
    """Implement what ``Wire`` says of errors."""

    runs_tools = False
    not_json = (
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
        "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
    )

    def error(self, status: int) -> dict[str, Any]:
        code = "rate_limit_exceeded" if status == 429 else "server_error"
        return {"error": {"message": f"planted {status}", "type": code, "param": None, "code": code}}

    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]:  # noqa: ARG002 - other vendors name it
        error = {"message": refused.message, "type": refused.kind, "param": refused.param, "code": refused.code}
        return {"error": error}

    def failure(self, status: int) -> RequestRefused:
        kind, code, message = FAILURES.get(status, SERVER_ERROR)
        return RequestRefused(message, status=status, kind=kind, code=code)
