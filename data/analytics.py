"""Name the headers by which the router and the process of analytics know each other."""

from __future__ import annotations

# Whose requests the caller may see: the hash of a key, or ``ALL_KEYS``.
SCOPE_HEADER = "x-portolan-analytics-scope"
TOKEN_HEADER = "x-portolan-analytics-token"
ALL_KEYS = "all"
