"""Write the errors of Amazon Bedrock: as a response, and within a stream."""

from __future__ import annotations

from typing import Any

from lab.bedrock_frames import exception_frame
from lab.scripted_wire import cloud_failure
from lab.shapes import RequestRefused

# Source: Amazon Bedrock API reference: Converse, Errors; Amazon Bedrock user guide: Troubleshooting API error codes.
FAILURES = {
    400: ("ValidationException", "The input fails to satisfy the constraints specified by Amazon Bedrock."),
    401: ("UnrecognizedClientException", "The security token included in the request is invalid."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    404: ("ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier."),
    408: ("ModelTimeoutException", "Model has timed out in processing the request. Try your request again."),
    413: ("ValidationException", "Input is too long for requested model."),
    424: ("ModelErrorException", "The model returned an error."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: (
        "InternalServerException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
    504: ("ModelTimeoutException", "Model has timed out in processing the request. Try your request again."),
}


class AmazonErrors:
    """Implement the errors of ``Wire``, with their type, which ``lab/bedrock_server.py`` makes a header."""

    def error(self, status: int) -> dict[str, Any]:
        kind, _ = FAILURES.get(status, FAILURES[500])
        return {"error": {"type": kind, "message": f"planted {status}"}}

    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]:  # noqa: ARG002 (of the contract)
        kind = refused.kind if refused.kind[:1].isupper() else FAILURES.get(refused.status, FAILURES[400])[0]
        return {"error": {"type": kind, "message": refused.message}}

    def failure(self, status: int) -> RequestRefused:
        return cloud_failure(FAILURES, status)

    def error_event(self, request_id: str, number: int) -> bytes:  # noqa: ARG002 (of the contract)
        return exception_frame("serviceUnavailableException", FAILURES[503][1])
