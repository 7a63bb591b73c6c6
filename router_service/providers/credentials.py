"""Find the API key with which a provider is called."""

from __future__ import annotations

import os

from data.catalogue.types import Endpoint


class Credentials:
    """Read providers' keys from the environment. With ``lab`` every provider is imitated, and takes any key."""

    def __init__(self, *, lab: bool) -> None:
        self._lab = lab

    def api_key(self, endpoint: Endpoint) -> str:
        """Return the first key of ``endpoint.key_env`` that is set, or an empty string."""
        if self._lab:
            return "lab"
        return next((value for name in endpoint.key_env if (value := os.environ.get(name, "").strip())), "")
