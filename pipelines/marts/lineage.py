"""Derive from the SQL of a mart which columns of the record each of its columns is computed from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import duckdb

from data.record.lake_reader import LAKE_SCHEMA
from pipelines.marts.plans import PLANS

# Columns of the record by the name of a column.
Lineage = Mapping[str, frozenset[str]]
_RECORD: Lineage = {name: frozenset([name]) for name in LAKE_SCHEMA.names}


@cache
def lineage(sql: str) -> Lineage:
    """Return the columns of the record that each column of ``sql`` depends on; a count of rows depends on none.

    Conditions and groups do not count, as each column of a row depends on them.
    """
    row = duckdb.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert row is not None
    return dict(_of_query(json.loads(row[0])["statements"][0]["node"], {}))


def _of_query(node: Mapping[str, Any], outer: Mapping[str, Lineage]) -> list[tuple[str, frozenset[str]]]:
    known = dict(outer)
    for one in node["cte_map"]["map"]:
        known[one["key"]] = dict(_of_query(one["value"]["query"]["node"], known))
    if node["type"] == "SET_OPERATION_NODE":
        sides = zip(_of_query(node["left"], known), _of_query(node["right"], known), strict=True)
        return [(name, left | right) for (name, left), (_, right) in sides]
    columns = _of_source(node["from_table"], known)
    found: list[tuple[str, frozenset[str]]] = []
    for expression in node["select_list"]:
        if expression["class"] == "STAR":
            found.extend(columns.items())
            continue
        named = list(_columns(expression))
        name = expression["alias"] or (named[0][-1] if named else "")
        found.append((name, frozenset().union(*(_first_known(path, columns) for path in named))))
    return found


def _of_source(table: Mapping[str, Any], known: Mapping[str, Lineage]) -> Lineage:
    if table["type"] == "JOIN":
        return {**_of_source(table["left"], known), **_of_source(table["right"], known)}
    if table["type"] == "SUBQUERY":
        return dict(_of_query(table["subquery"]["node"], known))
    name = table.get("table_name", "")
    return known.get(name) or (lineage(PLANS) if name == "requests" else _RECORD)


def _first_known(path: list[str], columns: Lineage) -> frozenset[str]:
    """Return what the first known part of ``table.column.field`` depends on."""
    return next((columns[part] for part in path if part in columns), frozenset())


def _columns(tree: Any) -> Iterator[list[str]]:
    """Yield the path of each column that an expression names."""
    if isinstance(tree, dict):
        if tree.get("class") == "LAMBDA":
            # Its parameters are no columns, whatever fields they have.
            parameters = {path[0] for path in _columns(tree["lhs"])}
            yield from (path for path in _columns(tree["expr"]) if path[0] not in parameters)
            return
        if tree.get("class") == "COLUMN_REF":
            yield tree["column_names"]
        for value in tree.values():
            yield from _columns(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _columns(value)
