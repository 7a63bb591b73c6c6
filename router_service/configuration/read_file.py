"""Read ``portolan.toml`` and refuse it with the place and the explanation of every mistake."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data.catalogue.types import Catalogue
from router_service.configuration.environment import check_variables
from router_service.configuration.mistakes import ConfigurationError, Mistake, mistakes_of, setting_mistakes
from router_service.configuration.names import misspelt
from router_service.configuration.tables import PortolanToml
from router_service.configuration.toml_positions import TomlPositions
from router_service.settings import Settings

FILE_NAME = "portolan.toml"
MAX_FILE_BYTES = 1024 * 1024
MAX_MISTAKES = 50
# The data directory and the file itself are needed before the file is read.
NOT_IN_FILE = ("config",)
NEEDS_KEY = "needs category_model_key, an API key of this router: make one with 'portolan keys create'"
_AT = re.compile(r"^(?P<reason>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


class Configuration:
    """Hold the content of a file that was read: ``tables``, its ``text`` and the values of its settings."""

    def __init__(self, path: Path | None = None, text: str = "", tables: PortolanToml | None = None) -> None:
        self.path = path
        self.text = text
        self.tables = tables or PortolanToml()

    @cached_property
    def _positions(self) -> TomlPositions:
        return TomlPositions(self.text)

    def source(self, *path: str | int) -> str:
        """Return the file and line of the value at ``path``, for people."""
        return f"{self.path}:{self._positions.of_key(path).line}"

    def has(self, *path: str | int) -> bool:
        """Return whether the file has a value or table at ``path``."""
        return path in self._positions.keys or path in self._positions.values

    def mistakes(self, found: Sequence[Mistake]) -> list[str]:
        """Return ``found`` as lines with file, line and column, in the order of the file."""
        places = sorted(
            (self._positions.of_key(path) if at_key else self._positions.of_value(path), sentence)
            for path, sentence, at_key in found
        )
        lines = [f"{self.path}:{at.line}:{at.column}: {sentence}" for at, sentence in places[:MAX_MISTAKES]]
        return lines if len(places) < MAX_MISTAKES else [*lines, f"{self.path}: there may be more mistakes than these"]


def find_configuration(data_dir: Path) -> Path | None:
    """Return ``portolan.toml`` of the working directory, else of ``data_dir``, else ``None``."""
    for folder in (Path(), data_dir):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def settings_of_process() -> Settings:
    """Return the settings of the environment, with ``config`` set where a file is found.

    Raises ``ConfigurationError`` for a variable that nothing reads, and ``ValidationError`` for a wrong value.
    """
    check_variables(os.environ)
    settings = Settings()
    found = None if settings.config else find_configuration(settings.data_dir)
    return settings.model_copy(update={"config": found}) if found else settings


def read_configuration(path: Path, catalogue: Catalogue) -> Configuration:
    """Return the content of ``path``. Raises ``ConfigurationError`` with a line for every mistake."""
    text = _read(path)
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([_syntax(path, text, str(error))]) from None
    except RecursionError:
        raise ConfigurationError([f"{path}:1:1: the file is nested too deeply"]) from None
    except (ValueError, ArithmeticError):
        raise ConfigurationError([f"{path}:1:1: a number in the file has too many digits"]) from None
    draft = Configuration(path, text)
    found: list[Mistake] = []
    tables = PortolanToml()
    try:
        tables = PortolanToml.model_validate(raw)
    except ValidationError as error:
        found += mistakes_of(error, raw)
    settings = raw.get("settings", {})
    if isinstance(settings, dict):
        found += _wrong_settings(settings)
    if not found:
        found += islice(misspelt(tables, catalogue), MAX_MISTAKES)
    if found:
        raise ConfigurationError(draft.mistakes(found))
    return Configuration(path, text, tables)


def setting_values(configuration: Configuration) -> dict[str, Any]:
    """Return the settings of the file, as the settings take them."""
    return {name: _plain(value) for name, value in configuration.tables.settings.items()}


def with_file(settings: Settings, configuration: Configuration) -> Settings:
    """Return ``settings`` with those of the file, where neither the environment nor the caller has set them.

    Raises ``ConfigurationError`` where a setting of one needs another that neither has.
    """
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    made = Settings(**setting_values(configuration) | given)
    if _lacks_key(made):
        raise ConfigurationError([f"{environment_variable('category_model')} or settings.category_model {NEEDS_KEY}"])
    return made


def environment_variable(setting: str) -> str:
    """Return the environment variable of a setting."""
    return f"PORTOLAN_{setting.upper()}"


def is_in_environment(setting: str) -> bool:
    """Return whether the environment has the setting; letter case does not matter, as for the settings."""
    wanted = environment_variable(setting)
    return any(name.upper() == wanted for name in os.environ)


def _wrong_settings(raw: Mapping[str, Any]) -> list[Mistake]:
    found = [
        Mistake(("settings", name), f"settings.{name} cannot be in the file: use --config or PORTOLAN_CONFIG", True)
        for name in NOT_IN_FILE
        if name in raw
    ]
    values = {name: _plain(value) for name, value in raw.items() if name not in NOT_IN_FILE}
    try:
        if _lacks_key(Settings(**values)) and "category_model" in values:
            found.append(Mistake(("settings", "category_model"), f"settings.category_model {NEEDS_KEY}"))
    except ValidationError as error:
        names = set(Settings.model_fields) - set(NOT_IN_FILE)
        # What the environment has wrong is no mistake of the file.
        found += [one for one in setting_mistakes(error, names) if one.path[1:2] and one.path[1] in values]
    return found


def _lacks_key(settings: Settings) -> bool:
    return settings.category_model is not None and not settings.category_model_key.get_secret_value()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError([f"{path}: the file cannot be read: {error.strerror}"]) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError([f"{path}: the file exceeds {MAX_FILE_BYTES:,} bytes"])
    try:
        return content.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError([f"{path}:{line}:1: the file must be UTF-8"]) from None


def _syntax(path: Path, text: str, message: str) -> str:
    found = _AT.match(message)
    if found is None:
        return f"{path}:1:1: {message}"
    line, column = found["line"] or str(text.rstrip("\n").count("\n") + 1), found["column"] or "1"
    return f"{path}:{line}:{column}: this is no TOML: {found['reason'][:1].lower()}{found['reason'][1:]}"
