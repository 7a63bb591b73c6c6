"""Write partition files of the marts that stand for a year of many requests, and publish them, without their lake.

    python -m benchmarks.data.year FOLDER --requests 100000000

The rows of some days are those that the marts' own SQL makes of generated requests, as many of them an hour as a year
of ``--requests`` has. All other days repeat them: each with its own hours and sessions, with users that come and go
over months, and with models that replace others. So each partition has the rows that so many requests give.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data.generate import START, GeneratedHour, fill_lake, hours
from data.catalogue import load_catalogue
from data.lake import Lake
from data.record.origin import HOUR_FORMAT, HourInputs
from pipelines.build import build_mart
from pipelines.marts.catalogue import MARTS
from pipelines.marts.declaration import Mart
from pipelines.marts.encoding import encoded
from pipelines.marts.manifest import Manifest, MartPartitions, Partition, read_manifest
from pipelines.marts.publication import publish, write_version
from pipelines.marts.rollups import ROLLUPS
from pipelines.marts.spans import Span, span_of

REQUESTS, DAYS = 100_000_000, 365
# The running month has days, and the running day hours.
END = datetime(2026, 11, 18, 15, tzinfo=UTC)
REPEATED_DAYS = 2
# A user uses one key and mostly one model, and one in so many is active in an hour.
USERS, INACTIVE, KEYS, APPS = 50_000, 25, 200, 60
USER_MONTHS = 6


class _People:
    """Give requests to persons, each with a key, an app, a model that they mostly use and another one."""

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed
        dice = np.random.default_rng(seed)
        self._keys = dice.zipf(1.6, USERS) % KEYS
        self._ranks = dice.zipf(1.5, (2, USERS))

    def give(self, one: GeneratedHour) -> GeneratedHour:
        """Return the hour with other keys, users, sessions and apps."""
        dice = np.random.default_rng([self._seed, int(one.hour.timestamp())])
        encoded = one.table["model"].combine_chunks().dictionary_encode()
        model = encoded.indices.to_numpy(zero_copy_only=False)
        active = np.flatnonzero(dice.random(USERS) < 1 / INACTIVE)
        person = np.zeros(len(model), np.int64)
        for place in range(len(encoded.dictionary)):
            rows = np.flatnonzero(model == place)
            main, other = (active[self._ranks[n][active] % len(encoded.dictionary) == place] for n in range(2))
            # Four times as many requests to the main model.
            those = np.concatenate([np.repeat(main, 4), other])
            person[rows] = dice.choice(those if len(those) else active, len(rows))
        key = self._keys[person]
        columns = {
            "key_hash": _texts("{:064x}", key), "user_hash": _texts("{:012x}", person),
            "session_id": _texts("session-{}", person), "app": _texts("https://app-{}.example", key % APPS),
            "workspace": _texts("workspace-{}", key % 20),
        }  # fmt: skip
        table = one.table
        for name, values in columns.items():
            table = table.set_column(table.schema.get_field_index(name), name, values)
        return GeneratedHour(one.hour, table)


class YearOfMarts(NamedTuple):
    """Hold the rows of the days that are repeated by mart, and the model that each one replaced, with the month."""

    days: dict[str, list[pa.Table]]
    replaced: dict[str, tuple[str, int]]

    def rows(self, mart: Mart, day: datetime) -> pa.Table:
        """Return the rows of a day."""
        number = round((day - START) / timedelta(days=1))
        table = self.days[mart.name][number % REPEATED_DAYS]
        shift = day - START - timedelta(days=number % REPEATED_DAYS)
        for place, field in enumerate(table.schema):
            column = table[field.name]
            if pa.types.is_timestamp(field.type):
                column = pc.add(column, pa.scalar(shift, pa.duration("us"))).cast(field.type)
            elif field.name == "model":
                column = _renamed(column, lambda name: self._model(name, day))
            elif field.name == "user_hash":
                column = _renamed(column, lambda name: _user(name, day))
            elif field.name == "session":
                column = _renamed(column, lambda name: f"{number:03x}{name[3:]}")
            table = table.set_column(place, field.name, column)
        return table

    def _model(self, name: str, day: datetime) -> str:
        before, since = self.replaced.get(name, (name, 0))
        return name if _month(day) >= since else before


def write_year(lake: Lake, requests: int = REQUESTS) -> Manifest:
    """Write and publish the marts of a year of so many requests. ``lake`` should be empty."""
    year = _repeated_days(requests)
    begin = END.replace(hour=0) - timedelta(days=DAYS)
    spans: dict[str, list[datetime]] = {}
    for number in range(round((END - begin) / timedelta(hours=1))):
        hour = begin + timedelta(hours=number)
        spans.setdefault(span_of(hour.strftime(HOUR_FORMAT), END), []).append(hour)
    marts = {mart.name: _write_mart(lake.create(), year, mart, spans) for mart in MARTS}
    inputs = {hour.strftime(HOUR_FORMAT): HourInputs(1, 0) for of_span in spans.values() for hour in of_span}
    manifest = Manifest(hours=inputs, marts=marts, rollups=ROLLUPS)
    publish_again(lake, manifest)
    return manifest


def publish_again(lake: Lake, manifest: Manifest) -> None:
    """Publish a new version of the same partitions."""
    candidate = lake.marts / "candidate-year.tmp"
    write_version(lake, manifest, candidate)
    publish(lake, manifest, candidate)


def _repeated_days(requests: int) -> YearOfMarts:
    people = _People()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder).create()
        generated = hours(requests * REPEATED_DAYS // DAYS, 24 * REPEATED_DAYS)
        fill_lake(lake, (people.give(one) for one in generated))
        build_mart(lake, START + timedelta(days=REPEATED_DAYS, hours=3))
        made = read_manifest(lake).marts
        days = {name: [pq.read_table(lake.root / file.key) for file in one.files] for name, one in made.items()}
    return YearOfMarts(days, _replaced(days["market_hourly"][0]["model"].unique().to_pylist()))


def _replaced(models: list[str]) -> dict[str, tuple[str, int]]:
    """Return for every second model another one of its author that it replaced, and the month in which it did."""
    free = [name for name in sorted(load_catalogue().models) if name not in models]
    found: dict[str, tuple[str, int]] = {}
    for place, model in enumerate(models[::2]):
        before = next((name for name in free if name.split("/")[0] == model.split("/")[0]), None)
        if before is not None:
            free.remove(before)
            found[model] = (before, _month(END) - place % 12)
    return found


def _write_mart(lake: Lake, year: YearOfMarts, mart: Mart, spans: dict[str, list[datetime]]) -> MartPartitions:
    files = []
    for name, of_span in spans.items():
        inputs = {hour.strftime(HOUR_FORMAT): HourInputs(1, 0) for hour in of_span}
        key = Span(name, inputs, frozenset(), frozenset()).key(mart)
        path = lake.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = _write_table(path, list(_tables(year, mart, of_span)))
        files.append(Partition(key=key, span=name, rows=rows, bytes=path.stat().st_size))
    return MartPartitions(fingerprint=mart.fingerprint, row_version=mart.row_version, files=tuple(files))


def _tables(year: YearOfMarts, mart: Mart, of_span: list[datetime]) -> Iterator[pa.Table]:
    for day in sorted({hour.replace(hour=0) for hour in of_span}):
        table = year.rows(mart, day)
        first, last = (pa.scalar(moment, table.schema.field("hour").type) for moment in (of_span[0], of_span[-1]))
        yield table.filter(pc.and_(pc.greater_equal(table["hour"], first), pc.less_equal(table["hour"], last)))


def _write_table(path: Path, tables: list[pa.Table]) -> int:
    table = pa.concat_tables(tables)
    path.write_bytes(memoryview(encoded(table)))
    return len(table)


def _texts(form: str, numbers: Any) -> pa.Array:
    names, places = np.unique(numbers, return_inverse=True)
    return pa.array([form.format(name) for name in names.tolist()]).take(pa.array(places))


def _renamed(column: pa.ChunkedArray, rename: Any) -> pa.ChunkedArray:
    encoded = column.combine_chunks().dictionary_encode()
    names = pa.array([None if name is None else rename(name) for name in encoded.dictionary.to_pylist()])
    return pa.chunked_array([names.take(encoded.indices)])


def _user(name: str, day: datetime) -> str:
    """Return the user of the day who stands for ``name``: after some months it is another one."""
    number = int(name, 16)
    return f"{number + (_month(day) + number % USER_MONTHS) // USER_MONTHS * USERS:012x}"


def _month(day: datetime) -> int:
    return day.year * 12 + day.month


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.year", description=__doc__)
    parser.add_argument("folder", type=Path, help="data directory to fill")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    chosen = parser.parse_args()
    made = write_year(Lake(chosen.folder), chosen.requests)
    for name, one in sorted(made.marts.items(), key=lambda found: -sum(file.rows for file in found[1].files)):
        print(f"{name:24} {sum(file.rows for file in one.files):12,} {sum(file.bytes for file in one.files):14,}")


if __name__ == "__main__":
    main()
