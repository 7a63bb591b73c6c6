"""``portolan policy``: show, promote and roll back selection policies."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from data.lake import Lake
from data.policies import read_serving
from models.selection.lifecycle.registry import Registry, RegistryError
from portolan import arguments
from portolan.arguments import DEFAULT_DATA, DataDir

if TYPE_CHECKING:
    from models.selection.lifecycle.rollout import RolloutSchedule

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Selection policies: show, promote and roll back.")

Why = Annotated[str, typer.Option("--why", help="The reason, for the audit log.", callback=arguments.name)]


@app.command("list")
def list_policies(data_dir: DataDir = DEFAULT_DATA) -> None:
    """List every version with its state and the reason."""
    lake = Lake(data_dir)
    serving = read_serving(lake)
    share = f", {serving.canary.share:.0%} of the traffic" if serving.canary else ""
    for state in _registry(lake).states():
        word = state.state.replace("_", " ") + (share if state.state == "canary" else "")
        word += ", pruned" if state.pruned else ""
        typer.echo(f"{state.version}  {word}, since {state.since[:19]}: {state.reason}")
    if not serving.versions():
        typer.echo("No learned policy serves: price shares do.")


@app.command()
def show(version: str, data_dir: DataDir = DEFAULT_DATA) -> None:
    """Show the lineage of a version, the verdicts of its gates and the path of its report."""
    lake = Lake(data_dir)
    with _plain_errors():
        state = _registry(lake).get(version)
    line = state.lineage
    typer.echo(f"{state.version}  {state.state.replace('_', ' ')}, since {state.since[:19]}: {state.reason}")
    typer.echo(f"data        {line.data_from} to {line.data_until}, {line.decisions} decisions")
    typer.echo(f"held out    from {line.held_out_from}")
    typer.echo(f"code        {line.code_version}; {', '.join(f'{k} {v}' for k, v in line.libraries.items())}")
    for name, digest in line.sha256.items():
        typer.echo(f"sha256      {digest}  {name}")
    for name, value in line.metrics.items():
        typer.echo(f"metric      {name} {value:.4g}")
    for verdict in state.verdicts:
        typer.echo(f"{verdict.gate}          {verdict.outcome}: {verdict.reason}")
    if state.pruned:
        typer.echo(f"pruned      {state.pruned[:19]}: the artifact is gone, report and steps stay")
    report = lake.policies / version / "report.html"
    if report.exists():
        typer.echo(f"report      {report}")


@app.command()
def promote(
    version: str,
    why: Why,
    canary: Annotated[
        float | None, typer.Option(help="Serve only this share of the traffic; without it, become champion.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate has not passed.")] = False,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Let a version serve."""
    from models.selection.dataset import decision_log

    with _plain_errors():
        registry = _registry(Lake(data_dir))
        state = registry.get(version)
        if not registry.is_proven(version) and not force:
            raise RegistryError(f"{version} is {state.state.replace('_', ' ')}; --force lets it serve all the same")
        if canary is None:
            registry.promote(version, why)
        else:
            registry.canary(version, canary, why, since=decision_log.count(Lake(data_dir)))
    typer.echo(f"{version} is {'champion' if canary is None else f'canary with {canary:.0%}'}; routers follow in 2 s")


@app.command()
def rollback(
    why: Why,
    version: Annotated[
        str | None,
        typer.Argument(help="Version to roll back; default: the canary, or the champion when there is none."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """End a version's serving; after a champion its predecessor serves again."""
    with _plain_errors():
        registry = _registry(Lake(data_dir))
        serving = registry.serving
        chosen = version or (serving.canary.version if serving.canary else serving.champion)
        if chosen is None:
            raise RegistryError("no learned policy serves")
        now = registry.rollback(chosen, why)
    typer.echo(f"{chosen} is rolled back; champion: {now or 'none, price shares serve'}")


@app.command()
def diff(first: str, second: str, data_dir: DataDir = DEFAULT_DATA) -> None:
    """Compare two versions: their metrics, and their first choices on the last logged decisions."""
    from models.selection.decision.artifact import PolicyError
    from models.selection.evaluation.differences import choice_shifts

    lake = Lake(data_dir)
    with _plain_errors():
        before, after = (_registry(lake).get(version) for version in (first, second))
        for name in sorted(before.lineage.metrics.keys() & after.lineage.metrics.keys()):
            typer.echo(f"{name:22} {before.lineage.metrics[name]:.4g} → {after.lineage.metrics[name]:.4g}")
        try:
            found = choice_shifts(lake, before.version, after.version)
        except (PolicyError, ValueError) as error:
            raise RegistryError(str(error)) from error
    typer.echo(f"first choices on the last {found.decisions} decisions:")
    for row in found.rows:
        typer.echo(f"{row.endpoint:40} {row.before:6.1%} → {row.after:6.1%}")


@app.command()
def check(
    data_dir: DataDir = DEFAULT_DATA,
    every: Annotated[
        float | None, typer.Option(min=1, help="Repeat the check after this many seconds, until stopped.")
    ] = None,
) -> None:
    """Check champion and canary against the guardrails now; roll back what breaks one (exit code 1)."""
    from models.selection.lifecycle.rollout import rollout_schedule_from_environment

    try:
        pace = rollout_schedule_from_environment()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="the environment") from None
    lake = Lake(data_dir)
    if every is not None:
        with suppress(KeyboardInterrupt):
            _keep_watch(lake, pace, every)
        return
    from models.selection.dataset import decision_log
    from models.selection.lifecycle.promotion import guardrail_limits, guardrail_readings, roll_back_breaches

    decision_log.catch_up(lake)
    seen = guardrail_readings(lake, guardrail_limits(pace))
    for one in seen:
        typer.echo(f"{one.version}: {one.sentence()}")
        for name, value in one.figures().items():
            typer.echo(f"  {name} {value:.4g}")
    steps = roll_back_breaches(lake, seen, who=_who())
    for step in steps:
        typer.echo(step)
    if not read_serving(lake).versions() and not steps:
        typer.echo("No learned policy serves: price shares do.")
    if steps:
        raise typer.Exit(1)


def _keep_watch(lake: Lake, pace: RolloutSchedule, every: float) -> None:
    """Check the guardrails repeatedly, independently of training and judging, which take minutes on a large log."""
    while True:
        # One look that fails must not be the last.
        try:
            # Asked first: nothing is read, nor its libraries loaded, where there is nothing to guard.
            if read_serving(lake).versions():
                from models.selection.lifecycle.promotion import enforce_guardrails

                for step in enforce_guardrails(lake, pace, who="guardrails"):
                    typer.echo(step)
        except Exception as error:
            typer.echo(f"guardrails: {error}", err=True)
        time.sleep(every)


def _registry(lake: Lake) -> Registry:
    return Registry(lake, _who())


def _who() -> str:
    return f"{getpass.getuser()}, portolan policy"


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Print the sentence of an error and exit with code 2."""
    try:
        yield
    except RegistryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
