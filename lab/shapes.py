"""Describe the shape of a request as data, and check a body against it in a vendor's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class RequestRefused(Exception):
    """A request that the vendor refuses: ``status`` of HTTP, error type, sentence, and OpenAI's param and code.

    ``envelope`` is the body of the response, where it is not the one of the wire format.
    """

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "invalid_request_error",
        param: str | None = None, code: str | None = None, envelope: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message, self.status, self.kind, self.param, self.code = message, status, kind, param, code
        self.envelope = envelope


class Tag(str):
    """A step of a path that names the variant which was chosen by a discriminating field."""

    __slots__ = ()


Step = str | int
Path = tuple[Step, ...]


class Vocabulary(Protocol):
    """The sentences of one vendor. Each method returns the refusal for what is wrong at ``path``."""

    def missing(self, path: Path) -> RequestRefused: ...
    def unknown(self, path: Path) -> RequestRefused: ...
    def wrong_type(self, path: Path, wanted: Sequence[str], value: Any) -> RequestRefused:
        """``wanted`` are JSON types, or ``array of objects`` and the like."""

    def below(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused: ...
    def above(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused: ...
    def not_one_of(self, path: Path, value: Any, choices: Sequence[str]) -> RequestRefused: ...
    def bad_tag(self, path: Path, key: str, value: Any, choices: Sequence[str]) -> RequestRefused: ...
    def length(self, path: Path, kind: str, length: int, least: int, most: int | None) -> RequestRefused: ...
    def mismatch(self, path: Path, pattern: str) -> RequestRefused: ...


class Shape(Protocol):
    """Describe what a value may be. ``kinds`` names the JSON types that it accepts."""

    @property
    def kinds(self) -> tuple[str, ...]: ...

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        """Raise ``RequestRefused`` if ``value``, whose JSON type is one of ``kinds``, does not fit."""


@dataclass(frozen=True, slots=True)
class Anything:
    kinds: tuple[str, ...] = ()

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        """Accept every value."""


@dataclass(frozen=True, slots=True)
class Flag:
    kinds: tuple[str, ...] = ("boolean",)

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        """Accept every boolean."""


@dataclass(frozen=True, slots=True)
class String:
    least: int = 0
    most: int | None = None
    pattern: str | None = None
    kinds: tuple[str, ...] = ("string",)

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            raise words.length(path, "string", len(value), self.least, self.most)
        if self.pattern and not re.search(self.pattern, value):
            raise words.mismatch(path, self.pattern)


@dataclass(frozen=True, slots=True)
class Number:
    """Accept numbers; ``whole`` ones alone, of which ``decimal`` accepts ``40.0`` as well, as protocol buffers do."""

    low: float | None = None
    high: float | None = None
    whole: bool = False
    decimal: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        if self.whole:
            return ("integer", "decimal") if self.decimal else ("integer",)
        return ("decimal", "integer")

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        if self.whole and value != int(value):
            raise words.wrong_type(path, self.kinds, value)
        if self.low is not None and value < self.low:
            raise words.below(path, value, self.low, self.whole)
        if self.high is not None and value > self.high:
            raise words.above(path, value, self.high, self.whole)


@dataclass(frozen=True, slots=True)
class OneOf:
    choices: tuple[str, ...]
    kinds: tuple[str, ...] = ("string",)

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        if value not in self.choices:
            raise words.not_one_of(path, value, self.choices)


@dataclass(frozen=True, slots=True)
class Listed:
    item: Shape
    least: int = 0
    most: int | None = None
    kinds: tuple[str, ...] = ("array",)

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            raise words.length(path, "array", len(value), self.least, self.most)
        for index, item in enumerate(value):
            check(self.item, item, (*path, index), words)


@dataclass(frozen=True, slots=True)
class Object:
    """An object with known ``fields``; ``extra`` is the shape of all others, which are refused without it."""

    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    extra: Shape | None = None
    kinds: tuple[str, ...] = ("object",)

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        for name in self.required:
            if name not in value:
                raise words.missing((*path, name))
        for name, item in value.items():
            shape = self.fields.get(name, self.extra)
            if shape is None:
                raise words.unknown((*path, name))
            check(shape, item, (*path, name), words)


@dataclass(frozen=True, slots=True)
class Tagged:
    """An object whose field ``key`` names the variant; ``shown`` is false for variants that paths do not name."""

    key: str
    variants: Mapping[str, Object]
    shown: bool = True
    default: str | None = None
    kinds: tuple[str, ...] = ("object",)

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        tag = value.get(self.key, self.default)
        if tag is None and self.key not in value:
            raise words.missing((*path, self.key))
        record = self.variants.get(tag) if isinstance(tag, str) else None
        if record is None:
            raise words.bad_tag(path, self.key, tag, tuple(self.variants))
        record.check(value, (*path, Tag(tag)) if self.shown else path, words)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes, which differ in their JSON types."""

    options: tuple[Shape, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(kind for option in self.options for kind in option.kinds)

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        kind = json_kind(value)
        next(option for option in self.options if kind in option.kinds).check(value, path, words)


@dataclass(frozen=True, slots=True)
class Nullable:
    """A shape or null."""

    shape: Shape

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*self.shape.kinds, "null") if self.shape.kinds else ()

    def check(self, value: Any, path: Path, words: Vocabulary) -> None:
        if value is not None:
            self.shape.check(value, path, words)


def check(shape: Shape, value: Any, path: Path, words: Vocabulary) -> None:
    """Raise ``RequestRefused`` in the vendor's ``words`` if ``value`` does not have ``shape``."""
    if shape.kinds and json_kind(value) not in shape.kinds:
        raise words.wrong_type(path, _wanted(shape), value)
    shape.check(value, path, words)


def _wanted(shape: Shape) -> list[str]:
    """Return the JSON types that ``shape`` accepts, with those of an array's items: ``array of objects``."""
    if isinstance(shape, Nullable):
        return _wanted(shape.shape)
    if isinstance(shape, Either):
        return [kind for option in shape.options for kind in _wanted(option)]
    if isinstance(shape, Listed) and len(shape.item.kinds) == 1:
        return [f"array of {shape.item.kinds[0]}s"]
    return list(shape.kinds)


def json_kind(value: Any) -> str:
    """Return the JSON type of ``value``; numbers are ``integer`` or ``decimal``."""
    kinds = {bool: "boolean", int: "integer", float: "decimal", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
