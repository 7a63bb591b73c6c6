"""``portolan erase``: remove the requests of a key or of a user, and show that none is left."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from data.lake import Lake


def erase(data_dir: Path, key: str, user: str | None) -> bool:
    """Erase, print the report, and return whether the erasure is complete.

    ``key`` is an API key or its hash, ``user`` the user of a request's body, ``None`` for all of the key's requests.
    """
    from pipelines.erasure import Subject
    from pipelines.erasure import erase as run
    from router_service.admission.keys import hash_key
    from router_service.telemetry.request_columns import hashed_user
    from router_service.telemetry.sealing import recover

    lake = Lake(data_dir).create()
    key_hash = key if re.fullmatch("[0-9a-f]{64}", key) else hash_key(key)
    subject = Subject(key_hash, hashed_user(user, key_hash) if user is not None else None)
    # Segments whose writer has ended are sealed now, so that their rows are found.
    recover(lake)
    report = run(lake, subject)
    whose = f"key {key_hash[:12]}…" if user is None else f"user {subject.user_hash} of key {key_hash[:12]}…"
    typer.echo(f"erased       {report.requests} requests of {whose}")
    typer.echo(f"lake         {report.files_rewritten} files written again, {report.files_deleted} deleted")
    typer.echo(f"decisions    {report.decisions} removed")
    typer.echo(f"marts        hours of these requests made again, {report.mart_rows} rows of the subject removed")
    left = (
        f"{report.left_in_lake} in the lake, {report.left_in_decisions} in decisions, {report.left_in_marts} in marts"
    )
    typer.echo(f"left         {left}")
    for name in report.unreadable:
        typer.echo(f"unreadable   {name}: whether it holds such requests is not known; repair or delete it", err=True)
    unsealed = [path for kind in ("*.open", "*.wal") for path in lake.log.glob(kind)]
    quarantined = [*(lake.log / "quarantine").glob("*")]
    for path in quarantined:
        typer.echo(f"unreadable   {path}: frames that are no records; delete it if it may hold such requests", err=True)
    if unsealed:
        typer.echo(
            f"unsealed     {len(unsealed)} segments of running workers are not searched; "
            "they are sealed within a minute: run this again then",
            err=True,
        )
    return report.complete and not unsealed and not quarantined
