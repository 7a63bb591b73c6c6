"""``portolan``: the command line interface, one command for each job."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from portolan import arguments, config, keys, policy, provider
from portolan.arguments import DEFAULT_DATA, Config, DataDir, ExistingDir, ImportSource

# Boxes would break a long sentence into pieces, in a log above all.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A marketplace and router for language models.",
)
catalogue_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The catalogue of models and endpoints.")
app.add_typer(config.app, name="config")
app.add_typer(keys.app, name="keys")
app.add_typer(provider.app, name="provider")
app.add_typer(catalogue_app, name="catalogue")
app.add_typer(policy.app, name="policy")

# The exit code of a process that an interrupt has ended, as shells have it.
INTERRUPTED = 128 + signal.SIGINT

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
    config: Config = None,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Run the router alone."""
    from data.lake import Lake
    from portolan.server import run_server
    from router_service.telemetry.sealing import recover

    arguments.settings(config, data_dir)
    arguments.free(host, {"--port": port})
    arguments.database(data_dir).dispose()
    os.environ["PORTOLAN_DATA_DIR"] = str(data_dir)
    try:
        for report in recover(Lake(data_dir).create()):
            typer.echo(f"recovered {report.rows} records of {report.segment}, {report.lost_bytes} bytes were torn")
    except OSError as error:
        typer.echo(f"segments of the request log stay unsealed, the router tries again: {error}", err=True)
    run_server(host, port, workers)


@app.command()
def lab(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    host: str = "127.0.0.1",
    seed: int = 7,
    time_scale: Annotated[
        float, typer.Option(min=0, help="Factor of latencies and outage times; 0 for no latency.")
    ] = 1.0,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict/--lenient",
            envvar="PORTOLAN_LAB_STRICT",
            help="Every provider refuses what the vendor of its wire format refuses, not the vendors alone.",
        ),
    ] = False,
) -> None:
    """Run the providers of the lab."""
    from lab.server import run

    arguments.free(host, {"--port": port})
    run(host, port, seed, time_scale, strict)


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
    """Run all pipelines once, in this process: publish the marts, then train and judge policies."""
    from models.selection.lifecycle.rollout import rollout_schedule_from_environment
    from pipelines.alerts import webhook_from_environment
    from pipelines.refresh import refresh as run
    from pipelines.retention import retention_from_environment
    from pipelines.run_retention import run_days_from_environment
    from portolan.progress_bar import progress_bar

    arguments.alert_webhook(data_dir)
    try:
        for read in (
            rollout_schedule_from_environment, retention_from_environment, run_days_from_environment,
            webhook_from_environment,
        ):  # fmt: skip
            read()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="the environment") from None
    with progress_bar() as bar:
        report = run(data_dir, bar.say, lambda now: bar.show(now.text, now.share))
    typer.echo(report.sentence(), err=not report.succeeded)
    if not report.succeeded:
        raise typer.Exit(1)


@app.command("demo-data")
def demo_data(
    months: Annotated[int, typer.Option(min=1, max=36, help="Length of the history.")] = 18,
    requests: Annotated[int, typer.Option(min=1000, max=2_000_000, help="Number of requests in it.")] = 60_000,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the synthetic market instead.")] = False,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Make a synthetic market that dashboards show beside live traffic. Routing, training and spend never see it."""
    from portolan import demo

    if remove:
        typer.echo("The synthetic market is removed." if demo.remove(data_dir) else "There is no synthetic market.")
    else:
        os.nice(5)
        typer.echo(demo.make(data_dir, months, requests))


@app.command("import")
def import_usage(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The exported file.")],
    source: Annotated[ImportSource, typer.Option("--from", help="Format of the file; see docs/imports.md.")],
    mapped: Annotated[
        list[str] | None, typer.Option("--map", help="NAME=author/slug for a model that names no author. Repeatable.")
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Let the rows train selection too.")] = False,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Import the usage that another router exported. Exits with 1 if a row was rejected."""
    from portolan.import_report import run_import

    given = arguments.named_models(mapped or ())
    if not run_import(data_dir, file, source, given, train):
        raise typer.Exit(1)


@app.command()
def erase(
    key: Annotated[str, typer.Option("--key", help="The API key, or its SHA-256 in hexadecimal as the log has it.")],
    user: Annotated[
        str | None, typer.Option("--user", help="Erase only the requests whose body named this user.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Erase the requests of a key, or of one of its users, and show that none is left (exit code 1 otherwise)."""
    from portolan.erase import erase as run

    if not run(data_dir, key, user):
        raise typer.Exit(1)


@app.command()
def analytics(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8502,
    host: str = "127.0.0.1",
    few: Annotated[
        int,
        typer.Option(min=1, help="Rows of public datasets that stand for fewer requests or sessions are not shown."),
    ] = 5,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which a question is given up.")] = 30.0,
    token: Annotated[
        str, typer.Option(envvar="PORTOLAN_ANALYTICS_TOKEN", help="Secret of the router's setting analytics_token.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Run the analytics API, to which a router forwards that has its address as PORTOLAN_ANALYTICS_URL."""
    import uvicorn

    from dashboards.analytics.app import AnalyticsOptions, create_analytics_app
    from data.lake import Lake

    arguments.free(host, {"--port": port})
    if not token and host not in ("127.0.0.1", "::1", "localhost"):
        raise typer.BadParameter(
            "an address that other machines reach needs a secret; set PORTOLAN_ANALYTICS_TOKEN", param_hint="'--host'"
        )
    served = create_analytics_app(AnalyticsOptions(Lake(data_dir), token, few, timeout))
    uvicorn.run(served, host=host, port=port, log_level="warning", access_log=False, server_header=False)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65534)] = 8080,
    dashboards_port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    analytics_port: Annotated[int, typer.Option(min=1, max=65535)] = 8502,
    dagster_port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    lab_port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    config: Config = None,
    data_dir: DataDir = DEFAULT_DATA,
    use_lab: Annotated[
        bool | None, typer.Option("--lab/--no-lab", help="Default: the lab is used when no provider key is set.")
    ] = None,
    no_dashboards: Annotated[bool, typer.Option("--no-dashboards", help="Nor the analytics API.")] = False,
    no_dagster: Annotated[bool, typer.Option("--no-dagster")] = False,
    traffic: Annotated[float, typer.Option(min=0, help="Replayed requests a second; 0 for none.")] = 3.0,
    refresh_every: Annotated[float, typer.Option(min=1, help="Seconds between runs of the pipelines.")] = 60.0,
    lab_speed: Annotated[
        float,
        typer.Option(min=1, max=100, envvar="PORTOLAN_LAB_SPEED", help="Speed of the lab's simulated time."),
    ] = 1.0,
    no_demo: Annotated[
        bool,
        typer.Option(
            "--no-demo", help="Make no synthetic market for the dashboards; with real providers none is made anyway."
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="PORTOLAN_UI_HOSTS",
            help="Name of a host by which browsers may reach the dashboards and Dagster through a proxy; repeatable.",
        ),
    ] = None,
) -> None:
    """Run a whole market: lab, router, traffic, pipelines, dashboards. Ctrl-C ends all of it."""
    from portolan.stack import HOST, StackOptions, open_stack

    live = arguments.settings(config, data_dir)
    if use_lab is None:
        use_lab = not live.has_accounts()
    plan = StackOptions(
        port, dashboards_port, dagster_port, lab_port, data_dir, use_lab, not no_dashboards, not no_dagster,
        traffic, refresh_every, lab_speed, live.in_force.settings.log_drain_timeout, use_lab and not no_demo,
        analytics_port,
        live.in_force.settings.alert_webhook.get_secret_value(),
        tuple(host for one in allow_host or () for host in one.split(",") if host),
    )  # fmt: skip
    arguments.free(HOST, plan.ports())
    arguments.database(data_dir).dispose()
    if not open_stack(plan, typer.echo):
        raise typer.Exit(1)


@app.command()
def why(
    generation_id: Annotated[str, typer.Argument(help="The X-Generation-Id of the answer, gen-…")],
    config: arguments.Config = None,
    data_dir: ExistingDir = DEFAULT_DATA,
) -> None:
    """Explain from the request log why a request went to its endpoint. Needs no running router."""
    from portolan.why_report import report

    catalogue = arguments.settings(config, data_dir).in_force.market.catalogue
    lines = report(generation_id, data_dir, catalogue)
    if lines is None:
        typer.echo(
            f"{generation_id} is not in the log under {data_dir}. Is it the id of another installation? "
            "A request is written within a second of its end",
            err=True,
        )
        raise typer.Exit(2)
    for line in lines:
        typer.echo(line)


@catalogue_app.command("show")
def catalogue_show(
    model: Annotated[
        str | None, typer.Argument(help="Model as author/slug, or a provider; without it, the coverage is shown.")
    ] = None,
    unplaced: Annotated[
        bool, typer.Option("--unplaced", help="List every row that became no endpoint, and the reason.")
    ] = False,
    config: arguments.Config = None,
    data_dir: arguments.SearchedDir = arguments.DEFAULT_DATA,
) -> None:
    """Show the endpoints of a model, facts of a provider, or the coverage of the catalogue and all that is left out.

    Own providers, prices and enabled providers of portolan.toml are taken into account.
    """
    from portolan.catalogue_report import close_names, coverage, endpoints_of, facts_of_provider, gap_report

    catalogue = arguments.settings(config, data_dir).in_force.market.catalogue
    if model is None:
        lines: Iterable[str] | None = chain(coverage(unplaced, catalogue), gap_report(catalogue))
    else:
        lines = facts_of_provider(model, catalogue) or endpoints_of(model, catalogue)
    if lines is None:
        close = ", ".join(close_names(str(model), catalogue)) or "none; 'portolan catalogue show' says what it covers"
        typer.echo(f"{model} is not in the catalogue. Close to it: {close}", err=True)
        raise typer.Exit(2)
    for line in lines:
        typer.echo(line)


@catalogue_app.command("check")
def catalogue_check() -> None:
    """List implausible prices; exit with 1 if requests are routed to an endpoint with one."""
    from portolan.catalogue_report import price_report

    report = price_report()
    for line in report.lines:
        typer.echo(line)
    raise typer.Exit(1 if report.routed else 0)


def main() -> None:
    """Run the command line."""
    # A script starts what runs beside it with SIGINT ignored, and all processes of a command would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(prog_name="portolan")
    except KeyboardInterrupt:
        # It came before a command ran, while the command line was built.
        raise SystemExit(INTERRUPTED) from None
