"""Check arguments before anything starts; print a sentence and exit with code 2 when one is wrong."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.lake import Lake

ALERT_WEBHOOK = "PORTOLAN_ALERT_WEBHOOK"

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from router_service.configuration.live import LiveConfiguration


def name(value: str) -> str:
    """Refuse an empty name."""
    if not value.strip():
        raise typer.BadParameter("a name must not be empty")
    return value.strip()


def data_dir(context: typer.Context, path: Path) -> Path:
    """Refuse a folder that cannot be created or written.

    Where neither the option nor its variable is given, the configuration file may name the folder.
    """
    path = named_data_dir(context, path)
    try:
        Lake(path).create()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot hold data: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise typer.BadParameter(f"{path} cannot hold data: it is not writable")
    return path


def named_data_dir(context: typer.Context, path: Path) -> Path:
    """Return ``path``, or the ``data_dir`` of the configuration file where the command line has only its default."""
    import tomllib

    if getattr(context.get_parameter_source("data_dir"), "name", "") != "DEFAULT":
        return path
    named = context.params.get("config") or os.environ.get("PORTOLAN_CONFIG") or "portolan.toml"
    try:
        found = tomllib.loads(Path(named).read_text(encoding="utf-8")).get("settings", {}).get("data_dir")
    except (OSError, ValueError, AttributeError):
        # What reads the whole file says what is wrong with it.
        return path
    return Path(found) if isinstance(found, str) else path


def existing_dir(context: typer.Context, path: Path) -> Path:
    """Refuse a folder that does not exist; the configuration file may name it, as for ``data_dir``."""
    path = named_data_dir(context, path)
    if not path.is_dir():
        raise typer.BadParameter(f"{path} is no directory")
    return path


def database(path: Path) -> Engine:
    """Return the open database of keys under ``path``; refuse one that cannot be opened."""
    from sqlalchemy.exc import DatabaseError

    from router_service.admission.keys import open_database

    file = Lake(path).database
    try:
        return open_database(file)
    except DatabaseError as error:
        message = f"{file} cannot be opened: {error.orig}. Is the disk full or read-only?"
        raise typer.BadParameter(message, param_hint="'--data-dir'") from None


def named_models(pairs: Iterable[str]) -> dict[str, str]:
    """Return the models of ``NAME=author/slug`` by name; refuse anything else."""
    found = {}
    for pair in pairs:
        written, _, model = pair.partition("=")
        if not written or model.count("/") != 1 or not all(model.split("/")):
            raise typer.BadParameter(f"{pair!r} is not NAME=author/slug", param_hint="'--map'")
        found[written] = model
    return found


def free(host: str, ports: dict[str, int]) -> None:
    """Refuse ports that cannot be bound; ``ports`` are by option name."""
    with contextlib.ExitStack() as listeners:
        for option, port in ports.items():
            address = f"{host}:{port}"
            try:
                family, *_, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
                listeners.enter_context(socket.create_server(found[:2], family=family))
            except socket.gaierror as error:
                raise typer.BadParameter(f"{host}: {error.strerror}", param_hint="'--host'") from None
            except OSError as error:
                # Without the words in brackets that socket.create_server adds.
                reason = os.strerror(error.errno or 0)
                raise typer.BadParameter(f"cannot listen at {address}: {reason}", param_hint=f"'{option}'") from None


def configuration_file(config: Path | None, data_dir: Path) -> Path | None:
    """Return the path of the configuration file: the one named, else the one that is found; refuse a missing one."""
    from router_service.configuration.read_file import find_configuration

    named = config or (Path(os.environ["PORTOLAN_CONFIG"]) if os.environ.get("PORTOLAN_CONFIG") else None)
    if named is not None and not named.is_file():
        raise typer.BadParameter(f"{named} is no file", param_hint="'--config'")
    return named or find_configuration(data_dir)


def settings(config: Path | None, data_dir: Path) -> LiveConfiguration:
    """Return the configuration in force, for this process and its children; refuse one that cannot be used."""
    from pydantic import ValidationError

    from data.catalogue import load_catalogue
    from router_service.configuration.environment import check_variables
    from router_service.configuration.live import LiveConfiguration
    from router_service.configuration.mistakes import ConfigurationError
    from router_service.settings import Settings

    path = configuration_file(config, data_dir)
    if path is not None:
        os.environ["PORTOLAN_CONFIG"] = str(path.resolve())
    try:
        check_variables(os.environ)
        return LiveConfiguration(Settings(config=path), load_catalogue())
    except ValidationError as error:
        faults = "; ".join(f"PORTOLAN_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise typer.BadParameter(faults, param_hint="the environment") from None
    except ConfigurationError as error:
        if len(error.lines) == 1:
            raise typer.BadParameter(error.lines[0], param_hint="the configuration") from None
        for line in error.lines:
            typer.echo(line, err=True)
        raise typer.Exit(2) from None


def alert_webhook(data_dir: Path) -> None:
    """Set ``PORTOLAN_ALERT_WEBHOOK`` from ``portolan.toml`` if there is one and the variable is not set."""
    if ALERT_WEBHOOK not in os.environ and configuration_file(None, data_dir) is not None:
        os.environ[ALERT_WEBHOOK] = settings(None, data_dir).in_force.settings.alert_webhook.get_secret_value()


class ImportSource(StrEnum):
    """List the formats of ``portolan import``."""

    OPENROUTER_ACTIVITY = "openrouter-activity"
    OPENROUTER_GENERATION = "openrouter-generation"
    LITELLM = "litellm"
    JSONL = "jsonl"


Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="PORTOLAN_CONFIG", is_eager=True, help="portolan.toml; default: searched for."),
]
DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="PORTOLAN_DATA_DIR", help="The data directory.", callback=data_dir),
]
# Of commands that write nothing there.
SearchedDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="PORTOLAN_DATA_DIR", help="The data directory.", callback=named_data_dir),
]
ExistingDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="PORTOLAN_DATA_DIR", help="The data directory.", callback=existing_dir),
]
DEFAULT_DATA = Path("data/var")
