"""Explain a mistake in ``portolan.toml``: where it is, what is wrong and what to write."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from router_service.configuration.tables import PortolanToml
from router_service.configuration.toml_positions import TomlPath

# Names that are listed in full in a sentence.
LISTED = 20
# How a message begins that continues the name of the key.
VERBS = ("must ", "has ", "is ")
# What TOML calls the types of Python.
WORDS = (
    ("must be a valid ", "must be a "),
    ("must be a integer", "must be an integer"),
    ("must be a tuple", "must be a list"),
)
PATTERNS = {
    "providers": "a provider's name has lower-case letters, digits, '.', '_' and '-', such as my-vllm",
    "models": 'a model is named author/slug in lower case, such as [models."acme/support-7b"]',
}


class Mistake(NamedTuple):
    """Hold a mistake at ``path``. ``at_key`` is true where the key is wrong, and false where the value is."""

    path: TomlPath
    sentence: str
    at_key: bool = False


class ConfigurationError(Exception):
    """Report the mistakes of a configuration, one a line."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


def shown(path: TomlPath) -> str:
    """Return ``path`` as a reader of TOML names it, such as ``endpoints[0].price``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.replace("-", "").replace("_", "").isalnum() and part.isascii()
            name = part if bare else f'"{part}"'
            text += f".{name}" if text else name
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the known name that is nearest to ``name``, or with all of them if they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Known are {', '.join(names)}" if 0 < len(names) <= LISTED else ""


def mistakes_of(error: ValidationError, raw: Mapping[str, Any]) -> list[Mistake]:
    """Return the mistakes that pydantic has found in ``raw``, the content of the file."""
    return [_mistake(detail, raw) for detail in error.errors(include_url=False)]


def setting_mistakes(error: ValidationError, known: Iterable[str]) -> list[Mistake]:
    """Return the mistakes in the table ``settings``."""
    names, found = list(known), []
    for detail in error.errors(include_url=False):
        path: TomlPath = ("settings", *detail["loc"])
        if detail["type"] == "extra_forbidden":
            found.append(_unknown(path, names, "setting"))
        else:
            found.append(Mistake(path, _about(path, detail)))
    return found


def _mistake(detail: ErrorDetails, raw: Mapping[str, Any]) -> Mistake:
    # A key of a dictionary that fails its own type has the mark [key] behind it.
    at_key = detail["loc"][-1:] == ("[key]",)
    path: TomlPath = detail["loc"][:-1] if at_key else detail["loc"]
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(path, _fields_at(path[:-1]), "table" if isinstance(_at(raw, path), dict) else "key")
        case "dict_type" | "model_type":
            return Mistake(path, f"{shown(path)} must be a table")
        case "missing":
            return Mistake(path[:-1], f"{shown(path[:-1])} needs {path[-1]}", at_key=True)
        case "string_pattern_mismatch" if at_key:
            return Mistake(path, f"{shown(path)}: {PATTERNS.get(str(path[0]), 'the name is not valid')}", at_key=True)
        case "literal_error":
            allowed = str(detail["ctx"]["expected"]) if "ctx" in detail else ""
            names = [name.strip("'") for name in allowed.replace(" or ", ", ").split(", ")]
            advice = nearest(str(_at(raw, path)), names)
            return Mistake(path, f"{shown(path)} must be {allowed}. {advice if 'Did' in advice else ''}".strip())
    return Mistake(path, _about(path, detail), at_key=at_key)


def _unknown(path: TomlPath, known: Iterable[str], kind: str) -> Mistake:
    advice = nearest(str(path[-1]), known)
    return Mistake(path, f"{shown(path)} is no {kind} that exists here. {advice}".strip(), at_key=True)


def _about(path: TomlPath, detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    for said, meant in WORDS:
        message = message.replace(said, meant)
    return f"{shown(path)}{' ' if message.startswith(VERBS) else ': '}{message}"


def _at(raw: Any, path: TomlPath) -> Any:
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _fields_at(path: TomlPath) -> list[str]:
    """Return the keys that the table at ``path`` may have."""
    kind: Any = PortolanToml
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        else:
            kind = typing.get_args(kind)[-1] if typing.get_origin(kind) is dict else _item(kind)
        kind = _without_none(kind)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _item(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_args(kind) else None


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(one for one in typing.get_args(kind) if one is not types.NoneType)
    return kind
