"""``portolan keys``: API keys, and the rules and defaults that each holds."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from portolan import arguments
from portolan.arguments import DEFAULT_DATA, DataDir

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from router_service.admission.keys import Key

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="API keys and their rules.")

FIELDS_HELP = (
    "FIELD=VALUE: zdr=true, region=eu or region=eu,us, data_collection=deny, enforce_distillable_text=true, "
    "max_price.prompt=2 (USD per million tokens), strategy=price, sort=latency, ttft_timeout=5, stall_timeout=20 "
    "(seconds), usd_per_second=0.001 (what a second of waiting is worth), usd_per_failure=0.01, client_region=europe."
)

SPAN_HELP = "A span of time: 45s, 90m, 12h or 30d."
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
KeyName = Annotated[str, typer.Argument(help="Name or label of a key, as 'portolan keys list' shows them.")]


@app.command()
def create(
    name: Annotated[
        str, typer.Option("--name", help="A name for the key, such as its user or purpose.", callback=arguments.name)
    ],
    policy: Annotated[list[str] | None, typer.Option("--policy", help=f"Repeatable. {FIELDS_HELP}")] = None,
    expires_in: Annotated[str | None, typer.Option("--expires-in", help=f"{SPAN_HELP} Default: never.")] = None,
    management: Annotated[
        bool, typer.Option("--management", help="The key sees the analytics of all keys, not of its own alone.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Make an API key. It is printed once; only its hash is stored."""
    from router_service.admission.key_changes import create_recorded
    from router_service.admission.keys import NewKey

    stored = _stored({}, policy or [], "'--policy'")
    until = None if expires_in is None else time.time() + _seconds(expires_in, "'--expires-in'")
    typer.echo(create_recorded(arguments.database(data_dir), NewKey(name, stored, until, management)))


@app.command("list")
def list_keys(data_dir: DataDir = DEFAULT_DATA) -> None:
    """List every key: its first and last characters, name, creation, last use, end and rules."""
    from router_service.admission.keys import read_keys

    for key in read_keys(arguments.database(data_dir)):
        used = "never used" if key.last_used_at is None else f"last used {_moment(key.last_used_at)}"
        typer.echo(f"{key.label}  {key.name}, since {_moment(key.created_at)[:10]}, {used}{_state(key)}: {_shown(key)}")


def _state(key: Key) -> str:
    if key.disabled:
        return ", revoked"
    if key.expires_at is None:
        return ""
    return f", {'expires' if key.is_usable(time.time()) else 'expired'} {_moment(key.expires_at)}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


@app.command()
def revoke(key: KeyName, data_dir: DataDir = DEFAULT_DATA) -> None:
    """Refuse every further request of a key, for good. Running routers follow within a second."""
    from router_service.admission import key_changes

    engine = arguments.database(data_dir)
    found = _find(engine, key)
    key_changes.revoke(engine, found)
    typer.echo(f"{found.label} is revoked")


@app.command()
def expire(
    key: KeyName,
    after: Annotated[str, typer.Option("--in", help=f"{SPAN_HELP} 'never' takes the end away.")],
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Set when a key ends. Running routers follow within a second."""
    from router_service.admission import key_changes

    engine = arguments.database(data_dir)
    found = _find(engine, key)
    at = None if after == "never" else time.time() + _seconds(after, "'--in'")
    key_changes.expire(engine, found, at)
    typer.echo(f"{found.label} {'does not expire' if at is None else f'expires {_moment(at)}'}")


@app.command()
def rotate(
    key: KeyName,
    grace: Annotated[str, typer.Option("--grace", help=f"How long the old key serves on. {SPAN_HELP}")] = "1h",
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Make a new key of the same name and rules, and let the old one end. The new key is printed once."""
    from router_service.admission import key_changes
    from router_service.admission.key_rules import NO_RULES, rules_fields

    engine = arguments.database(data_dir)
    found = _find(engine, key)
    if not found.is_usable(time.time()):
        raise typer.BadParameter(f"{found.label} is revoked or expired: create a key instead", param_hint="'KEY'")
    seconds = _seconds(grace, "'--grace'")
    rules = _stored(rules_fields(found.policy or NO_RULES), [], "'KEY'")
    typer.echo(key_changes.rotate(engine, found, rules, time.time() + seconds))


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest changes.")] = 50,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """List the changes of keys, the latest first: when, who, what."""
    from router_service.admission.key_changes import read_events

    for event in read_events(arguments.database(data_dir), limit):
        typer.echo(f"{_moment(event.at)}  {event.actor}  {event.action} {event.label}: {event.detail}")


def _seconds(span: str, hint: str) -> float:
    """Return the seconds of ``span``, such as 90m; refuse anything else."""
    number, unit = span[:-1], span[-1:]
    if not number.isascii() or not number.isdigit() or len(number) > 6 or unit not in UNITS:
        raise typer.BadParameter(f"{span!r} is no span of time: write 45s, 90m, 12h or 30d", param_hint=hint)
    return float(number) * UNITS[unit]


@app.command()
def policy(
    key: Annotated[str, typer.Argument(help="Name or label of a key, as 'portolan keys list' shows them.")],
    fields: Annotated[
        list[str] | None, typer.Argument(help=f"{FIELDS_HELP} Without a value the field is taken out.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Show or change what a key's requests may do: rules that they can only tighten, defaults that they can replace."""
    from router_service.admission.key_changes import record_rules
    from router_service.admission.key_rules import NO_RULES, rules_fields
    from router_service.admission.keys import set_rules

    engine = arguments.database(data_dir)
    found = _find(engine, key)
    if fields:
        rules = _stored(rules_fields(found.policy or NO_RULES), fields, "'FIELDS'")
        set_rules(engine, found.hash, rules)
        record_rules(engine, found, rules or "none")
        found = _find(engine, found.label)
    typer.echo(_shown(found))


def _find(engine: Engine, wanted: str) -> Key:
    from router_service.admission.keys import read_keys

    found = [key for key in read_keys(engine) if wanted in (key.name, key.label)]
    if len(found) > 1:
        # After a rotation one key of the name is left soon.
        found = [key for key in found if key.is_usable(time.time())] or found
    if len(found) == 1:
        return found[0]
    labels = ", ".join(one.label for one in found)
    said = f"there are {len(found)}: say which by label, {labels}" if found else "there is none"
    raise typer.BadParameter(f"key {wanted!r}: {said}; 'portolan keys list' lists them", param_hint="'KEY'")


def _shown(key: Key) -> str:
    from router_service.admission.key_rules import rules_fields

    if key.policy is None:
        return "a policy that cannot be read: its requests are refused until it is set again"
    return " ".join(_assignments(rules_fields(key.policy))) or "no policy"


def _assignments(fields: dict[str, Any], prefix: str = "") -> list[str]:
    shown = []
    for name, value in fields.items():
        if isinstance(value, dict):
            shown += _assignments(value, f"{name}.")
        elif isinstance(value, list):
            shown.append(f"{prefix}{name}={','.join(value)}")
        else:
            shown.append(f"{prefix}{name}={value if isinstance(value, str) else json.dumps(value)}")
    return shown


def _stored(fields: dict[str, Any], changes: list[str], hint: str) -> str | None:
    """Return the JSON of ``fields`` with ``changes``, or ``None`` when nothing is left. Refuses invalid rules."""
    from router_service.admission.key_rules import KeyRulesError, parse_rules, rules_fields

    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise typer.BadParameter(f"{change!r} must be FIELD=VALUE, such as zdr=true", param_hint=hint)
        path, _, part = name.partition(".")
        place = fields.setdefault(path, {}) if part else fields
        if not isinstance(place, dict):
            raise typer.BadParameter(f"{path} has no part {part}", param_hint=hint)
        place[part or path] = _value(text)
    kept = {name: _set(value) for name, value in fields.items() if _set(value) not in (None, {})}
    try:
        made = parse_rules(json.dumps(kept))
    except KeyRulesError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from None
    return json.dumps(rules_fields(made)) if kept else None


def _set(value: Any) -> Any:
    return {name: part for name, part in value.items() if part is not None} if isinstance(value, dict) else value


def _value(text: str) -> Any:
    if not text:
        return None
    if "," in text and not text.startswith(("{", "[")):
        return text.split(",")
    try:
        return json.loads(text)
    except ValueError:
        return text
