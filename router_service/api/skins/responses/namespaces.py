"""Name the tools of a namespace so that every provider takes the name, and the answer can be read back."""

from __future__ import annotations

from hashlib import blake2b

# Longest name of a tool that OpenAI and Anthropic take.
_MAX_NAME = 64
_SEPARATOR = "__"


def flat_name(namespace: str | None, name: str) -> str:
    """Return the name under which the tool ``name`` of ``namespace`` is sent; a tool without one keeps its own.

    A name that would be too long ends with a digest, so that it is the same in every request.
    """
    if not namespace:
        return name
    joined = f"{namespace}{'' if namespace.endswith(_SEPARATOR) else _SEPARATOR}{name}"
    if len(joined) <= _MAX_NAME:
        return joined
    digest = blake2b(joined.encode(), digest_size=4).hexdigest()
    return f"{joined[: _MAX_NAME - len(digest) - 1]}_{digest}"
