"""Run an import for the command line and report what became of the rows."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import typer

from data.lake import Lake
from pipelines.imports.run import ImportReport, import_file
from pipelines.imports.source_rows import ImportInvalid

NAMED = 20


def run_import(data_dir: Path, file: Path, source: str, given: Mapping[str, str], trains: bool) -> bool:
    """Import ``file`` and print the outcome; return whether no row was rejected. Exits with 2 for another format."""
    try:
        report = import_file(Lake(data_dir), file, source, given, trains=trains, progress=typer.echo)
    except (ImportInvalid, OSError) as error:
        typer.echo(f"{file} cannot be imported as {source}: {error}", err=True)
        raise typer.Exit(2) from None
    if report.repeated:
        typer.echo("this file was imported before; nothing was added")
    typer.echo(
        f"{report.imported} rows imported, {report.duplicates} were in the lake already, {report.rejected} rejected"
    )
    for name, rows in islice(report.unknown.items(), NAMED):
        typer.echo(f"  not in the catalogue: {name} ({rows} rows)")
    if report.rejected:
        _name_rejected(report)
    return not report.rejected


def _name_rejected(report: ImportReport) -> None:
    with report.rejects.open(encoding="utf-8", newline="") as file:
        for row in islice(csv.DictReader(file), NAMED):
            typer.echo(f"line {row['line']}: {row['reason']}", err=True)
    if report.rejected > NAMED:
        typer.echo(f"and {report.rejected - NAMED} more", err=True)
    typer.echo(f"all rejected rows are named in {report.rejects}", err=True)
