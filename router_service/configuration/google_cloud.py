"""Read what the file says of a project of Google Cloud: the address of its models, and its service account.

Source: Vertex AI docs: Locations, "Global endpoint" and multi-regions; the addresses of the ``google-genai`` package.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from router_service.providers.google_token import MAX_KEY_FILE_BYTES, ServiceAccount, read_service_account

# Names the key file where the file names none, as for Google's own clients.
VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
GLOBAL = "global"
_MULTI_REGIONS = ("eu", "us")


def vertex_address(project: str, location: str, publisher: str = "google") -> str:
    """Return the address below which the models of ``publisher`` begin in a project."""
    if location == GLOBAL:
        host = "aiplatform.googleapis.com"
    elif location in _MULTI_REGIONS:
        host = f"aiplatform.{location}.rep.googleapis.com"
    else:
        host = f"{location}-aiplatform.googleapis.com"
    return f"https://{host}/v1/projects/{project}/locations/{location}/publishers/{publisher}"


def service_account_at(value: Any) -> ServiceAccount:
    """Return the account whose key file has this name. Raises ``ValueError`` with a sentence."""
    if isinstance(value, ServiceAccount):
        return value
    if not isinstance(value, str):
        raise ValueError("must be the name of a key file of a service account")
    try:
        with Path(value).expanduser().open("rb") as file:
            content = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"names a file that cannot be read: {error.strerror}") from None
    return read_service_account(content)


def usual_service_account() -> ServiceAccount | None:
    """Return the account that the environment names, ``None`` for none and for a file that is of no use."""
    name = os.environ.get(VARIABLE, "").strip()
    try:
        return service_account_at(name) if name else None
    except ValueError:
        return None
