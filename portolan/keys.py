"""``portolan keys``: API keys, and the rules and defaults that each holds."""

from __future__ import annotations

import json
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


@app.command()
def create(
    name: Annotated[
        str, typer.Option("--name", help="A name for the key, such as its user or purpose.", callback=arguments.name)
    ],
    policy: Annotated[list[str] | None, typer.Option("--policy", help=f"Repeatable. {FIELDS_HELP}")] = None,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Make an API key. It is printed once; only its hash is stored."""
    from router_service.admission.keys import create_key

    stored = _stored({}, policy or [], "'--policy'")
    typer.echo(create_key(arguments.database(data_dir), name, stored))


@app.command("list")
def list_keys(data_dir: DataDir = DEFAULT_DATA) -> None:
    """List every key: its first and last characters, name, date of creation and rules."""
    from router_service.admission.keys import read_keys

    for key in read_keys(arguments.database(data_dir)):
        since = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d")
        state = ", disabled" if key.disabled else ""
        typer.echo(f"{key.label}  {key.name}, since {since}{state}: {_shown(key)}")


@app.command()
def policy(
    key: Annotated[str, typer.Argument(help="Name or label of a key, as 'portolan keys list' shows them.")],
    fields: Annotated[
        list[str] | None, typer.Argument(help=f"{FIELDS_HELP} Without a value the field is taken out.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Show or change what a key's requests may do: rules that they can only tighten, defaults that they can replace."""
    from router_service.admission.key_rules import NO_RULES, rules_fields
    from router_service.admission.keys import set_rules

    engine = arguments.database(data_dir)
    found = _find(engine, key)
    if fields:
        set_rules(engine, found.hash, _stored(rules_fields(found.policy or NO_RULES), fields, "'FIELDS'"))
        found = _find(engine, found.label)
    typer.echo(_shown(found))


def _find(engine: Engine, wanted: str) -> Key:
    from router_service.admission.keys import read_keys

    found = [key for key in read_keys(engine) if wanted in (key.name, key.label)]
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
