"""``portolan``: every job of the house, each a command."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A marketplace and router for language models.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys.")
catalogue_app = typer.Typer(no_args_is_help=True, help="What the market offers.")
app.add_typer(keys_app, name="keys")
app.add_typer(catalogue_app, name="catalogue")

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="PORTOLAN_DATA_DIR", help="Where runs keep their data.")]
DEFAULT_DATA = Path("data/var")
POPULAR = (
    "openai/gpt-oss-120b",
    "meta-llama/llama-3.3-70b-instruct",
    "deepseek/deepseek-v3.2",
    "moonshotai/kimi-k2.5",
    "minimax/minimax-m2.5",
    "z-ai/glm-4.6",
    "qwen/qwen3-32b",
    "anthropic/claude-haiku-4.5",
)


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    host: str = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, help="Router processes.")] = 1,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Run the router alone."""
    import uvicorn

    from data.lake import Lake
    from router_service.telemetry.sealing import recover

    os.environ["PORTOLAN_DATA_DIR"] = str(data_dir)
    for report in recover(Lake(data_dir).create()):
        typer.echo(f"recovered {report.rows} records of {report.segment}, {report.lost_bytes} bytes were torn")
    uvicorn.run(
        "router_service.app:app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=10,
    )


@app.command()
def lab(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    host: str = "127.0.0.1",
    seed: int = 7,
    time_scale: Annotated[float, typer.Option(min=0, help="Multiplies every wait; 0 is instant.")] = 1.0,
) -> None:
    """Run the providers of the lab."""
    from lab.server import run

    run(host, port, seed, time_scale)


@app.command()
def replay(
    api_key: Annotated[str, typer.Option(envvar="PORTOLAN_API_KEY", help="Key of the router.")],
    base_url: str = "http://127.0.0.1:8080/api/v1",
    rate: Annotated[float, typer.Option(min=0.01, help="Requests a second.")] = 3.0,
    requests: Annotated[int | None, typer.Option(min=1)] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1)] = None,
    model: Annotated[list[str] | None, typer.Option(help="Repeatable; most popular first.")] = None,
    seed: int = 1,
) -> None:
    """Send real-looking traffic through the official openai client."""
    from lab.replay import Replayer

    report = asyncio.run(Replayer(base_url, api_key, model or POPULAR, rate, seed).run(seconds, requests))
    failed = ", ".join(f"{name} × {count}" for name, count in report.errors.most_common()) or "none"
    typer.echo(f"sent {report.sent}, succeeded {report.succeeded}, skipped {report.skipped}, failed: {failed}")


@app.command()
def refresh(data_dir: DataDir = DEFAULT_DATA) -> None:
    """Run all pipelines once, in this process: marts from the log, then a selection policy."""
    from pipelines.refresh import refresh as run

    report = run(data_dir, typer.echo)
    if not report.succeeded:
        typer.echo(f"failed: {', '.join(report.failed)}; what was published before stays in force", err=True)
        raise typer.Exit(1)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65534)] = 8080,
    dashboards_port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    dagster_port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    lab_port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    data_dir: DataDir = DEFAULT_DATA,
    use_lab: Annotated[bool | None, typer.Option("--lab/--no-lab", help="Default: lab when no key is set.")] = None,
    no_dashboards: Annotated[bool, typer.Option("--no-dashboards")] = False,
    no_dagster: Annotated[bool, typer.Option("--no-dagster")] = False,
    traffic: Annotated[float, typer.Option(min=0, help="Replayed requests a second; 0 for none.")] = 3.0,
    refresh_every: Annotated[float, typer.Option(min=1, help="Seconds between runs of the pipelines.")] = 60.0,
) -> None:
    """Run a whole market: lab, router, traffic, pipelines, dashboards. Ctrl-C ends all of it."""
    from portolan.house import Plan, open_house

    plan = Plan(
        port, dashboards_port, dagster_port, lab_port, data_dir, use_lab, not no_dashboards, not no_dagster,
        traffic, refresh_every,
    )  # fmt: skip
    if not open_house(plan, typer.echo):
        raise typer.Exit(1)


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Option("--name", help="What the key is for.")],
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Make an API key. It is printed once; only its hash is stored."""
    from data.lake import Lake
    from router_service.admission.keys import create_key, open_database

    typer.echo(create_key(open_database(Lake(data_dir).create().database), name))


@catalogue_app.command("show")
def catalogue_show(
    model: Annotated[str | None, typer.Argument(help="author/slug; without it the coverage.")] = None,
) -> None:
    """A model's endpoints, or what the catalogue covers and what it could not place."""
    from data.catalogue import load_catalogue
    from data.catalogue.load import rows_in_source

    catalogue = load_catalogue()
    if model is None:
        rows = sum(1 for _ in rows_in_source())
        live = {m: n for m, es in catalogue.endpoints.items() if (n := sum(e.enabled for e in es))}
        typer.echo(f"version {catalogue.version}: {rows} rows, {rows - len(catalogue.unplaced)} placed")
        typer.echo(f"{len(catalogue.models)} models, {len(catalogue.providers)} providers")
        typer.echo(f"{len(live)} models with {sum(live.values())} endpoints to route to")
        typer.echo("not placed:")
        for name in catalogue.unplaced:
            typer.echo(f"  {name}")
        return
    canonical = catalogue.resolve(model)
    if canonical is None:
        typer.echo(f"{model} is not in the catalogue; 'portolan catalogue show' says what it covers", err=True)
        raise typer.Exit(2)
    typer.echo(f"{canonical}: {catalogue.models[canonical].name}")
    for endpoint in sorted(catalogue.endpoints[canonical], key=lambda e: (not e.enabled, e.id)):
        price = endpoint.price
        cost = f"${price.prompt / 1e9:g} in, ${price.completion / 1e9:g} out per M" if price else "no price"
        state = "" if endpoint.enabled else f"  off: {endpoint.disabled_reason}"
        typer.echo(f"  {endpoint.tag:28} {endpoint.quantization:8} {endpoint.context_length:>9,} {cost}{state}")


def main() -> None:
    """Entry point."""
    app()
