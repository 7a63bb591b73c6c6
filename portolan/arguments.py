"""Check arguments before anything starts; print a sentence and exit with code 2 when one is wrong."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from data.lake import Lake

if TYPE_CHECKING:
    from sqlalchemy import Engine


def name(value: str) -> str:
    """Refuse an empty name."""
    if not value.strip():
        raise typer.BadParameter("a name must not be empty")
    return value.strip()


def data_dir(path: Path) -> Path:
    """Refuse a folder that cannot be created or written."""
    try:
        Lake(path).create()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot hold data: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise typer.BadParameter(f"{path} cannot hold data: it is not writable")
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


def settings() -> None:
    """Refuse an environment in which the router would not start."""
    from pydantic import ValidationError

    from router_service.settings import Settings

    try:
        Settings()
    except ValidationError as error:
        faults = "; ".join(f"PORTOLAN_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise typer.BadParameter(faults, param_hint="the environment") from None
