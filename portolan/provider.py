"""``portolan provider``: try a provider as the router would call it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from portolan import arguments

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The providers that the router calls.")


@app.callback()
def providers() -> None:
    """The providers that the router calls."""


@app.command("test")
def call_provider(
    name: Annotated[str, typer.Argument(help="Name of the provider, such as groq or one of portolan.toml.")],
    model: Annotated[str | None, typer.Option(help="Model as the router or the provider names it.")] = None,
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds for each call.")] = 60.0,
    config: arguments.Config = None,
    data_dir: arguments.SearchedDir = arguments.DEFAULT_DATA,
) -> None:
    """Call a provider: its list of models, a short completion, a stream and a tool call; say what works."""
    from portolan.provider_test import run
    from router_service.configuration.mistakes import nearest

    live = arguments.settings(config, data_dir)
    known = live.in_force.market.catalogue.providers
    if name not in known:
        raise typer.BadParameter(f"{name} is no provider. {nearest(name, known)}".strip(), param_hint="'NAME'")
    if not asyncio.run(run(live, name, model, timeout, typer.echo)):
        raise typer.Exit(1)
