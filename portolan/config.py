"""``portolan config``: check ``portolan.toml``, and show what is in force."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from portolan import arguments

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The configuration file, portolan.toml.")


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="The file; default: the one that the router reads.")] = None,
    config: arguments.Config = None,
    data_dir: arguments.SearchedDir = arguments.DEFAULT_DATA,
) -> None:
    """Explain each mistake of the file with its line and column, and say what to write."""
    from data.catalogue import load_catalogue
    from portolan.config_report import remarks
    from router_service.configuration.environment import check_variables
    from router_service.configuration.mistakes import ConfigurationError
    from router_service.configuration.read_file import Configuration, read_configuration

    try:
        check_variables(os.environ)
    except ConfigurationError as error:
        for line in error.lines:
            typer.echo(line, err=True)
        raise typer.Exit(1) from None
    path = file or arguments.configuration_file(config, data_dir)
    if path is None:
        for line in remarks(Configuration(), load_catalogue()):
            typer.echo(line)
        typer.echo(f"there is no portolan.toml in the working directory or in {data_dir}: nothing to check")
        return
    try:
        configuration = read_configuration(path, load_catalogue())
    except ConfigurationError as error:
        for line in error.lines:
            typer.echo(line, err=True)
        raise typer.Exit(1) from None
    for line in remarks(configuration, load_catalogue()):
        typer.echo(line)
    typer.echo(f"{path} is valid")


@app.command()
def show(config: arguments.Config = None, data_dir: arguments.SearchedDir = arguments.DEFAULT_DATA) -> None:
    """Print every value in force and where it comes from. Secrets are not printed."""
    from portolan.config_report import report

    in_force = arguments.settings(config, data_dir)
    for line in report(in_force):
        typer.echo(line)
