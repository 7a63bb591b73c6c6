"""Write ``docs/marts.md`` from the declarations: ``python -m pipelines.marts.documentation > docs/marts.md``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from pipelines.marts.catalogue import MARTS, QUARANTINE
from pipelines.marts.declaration import Mart, MartCheck, MartView
from pipelines.marts.quarantine import FUTURE_ADVICE, FUTURE_SENTENCE, ROW_RULES
from pipelines.marts.rollups import VIEWS

HEAD = """# Marts

This page derives from the declarations in `pipelines/marts/catalogue.py` and `rollups.py`. A mart has a row for each
hour (UTC) of arrival and each combination of its dimensions; its figures add up over hours and dimensions. Its
partitions are immutable Parquet files under `marts/<name>/`: an hour, after two hours a day, after the month's end a
month. Only partitions whose requests changed are written again. A published version is `marts/marts-<version>.duckdb`:
views over the partitions, and the roll-ups below, those that pages read most as tables. `mart_files` has the number,
rows and bytes of each mart's partition files, the newest one and when one was last written; `unreadable` names the
files of the lake that were left out. Large marts are there by day, week or month as well (`COARSER` in
`data/marts.py`): `usage_daily` has the columns of `usage_hourly`, and in `hour` when the day began. Of a month that has
not ended, the rows by week or month are those by day, or by hour if there are none by day. To query the file elsewhere
than with `data.marts.open_mart`, name the folder first: `SET VARIABLE marts = '<data directory>/marts'`.

Users and sessions have short ids, which are a third of the size: the requests of a user are those of the log whose
`user_hash` begins with the mart's, and those of a session whose columns give its id by the SQL of the mart.

Nothing is published while a check of a mart fails. The example of each is the first of its golden rows
(`pipelines/golden/<name>.json`), which the golden requests give (`requests.json`).
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD, *_rules()]
    parts += [line for mart in MARTS for line in _mart(mart)]
    parts += ["## Roll-ups\n", *(line for view in VIEWS for line in _view(view))]
    return "\n".join(parts).rstrip() + "\n"


def _rules() -> Iterable[str]:
    yield "## The requests\n"
    yield (
        f"A request that breaks a rule is set aside: it stays in the lake, `{QUARANTINE}` names it with the reason, "
        "the rest is published, and the check of the rule warns. A file that cannot be read is left out likewise.\n"
    )
    yield "| reason | rule | what to do |\n| --- | --- | --- |"
    for rule in ROW_RULES:
        yield f"| `{rule.reason}` | {rule.sentence} | {rule.advice} |"
    yield f"|  | {FUTURE_SENTENCE}: none begins later than the next hour | {FUTURE_ADVICE} |\n"


def _mart(mart: Mart) -> Iterable[str]:
    yield f"## {mart.name}\n"
    yield f"{mart.description} Owner: {mart.owner.removeprefix('team:')}.\n"
    yield "| column | type | unit | meaning |\n| --- | --- | --- | --- |"
    yield "| `hour` | timestamp |  | Hour of arrival, UTC |"
    for one in mart.dimensions:
        yield f"| `{one.name}` | {one.kind.lower()} |  | {one.description} |"
    for figure in mart.measures:
        how = "" if figure.how == "sum" else f" ({figure.how})"
        yield f"| `{figure.name}` | {figure.kind.lower()} | {figure.unit} | {figure.description}{how} |"
    yield ""
    yield from _example(mart)
    yield from _checks(mart.checks)


def _view(view: MartView) -> Iterable[str]:
    sources = ", ".join(f"`{name}`" for name in view.sources)
    yield f"### {view.name}\n"
    yield f"{view.description} From {sources}, {'a table' if view.stored else 'a view'}.\n"
    yield from _example(view)
    yield from _checks(view.checks)


def _example(one: Mart | MartView) -> Iterable[str]:
    yield f"Example: `{json.dumps(one.golden[0])}`\n"


def _checks(checks: Iterable[MartCheck]) -> Iterable[str]:
    lines = [f"- Check: {check.sentence}." for check in checks]
    return [*lines, ""] if lines else []


if __name__ == "__main__":
    sys.stdout.write(page())
