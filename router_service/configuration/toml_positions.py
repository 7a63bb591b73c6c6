"""Find where each key and value of a TOML file is written. tomllib reads values, but keeps no positions."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tree_sitter

TomlPath = tuple[str | int, ...]
# Parts of a dotted key that are read; no table of the file is as deep.
MAX_DEPTH = 32


class Position(NamedTuple):
    """Hold a line and a column, both counted from 1; columns are characters."""

    line: int
    column: int


class TomlPositions:
    """Hold the positions in ``text`` by path, such as ``("endpoints", 0, "price")``."""

    def __init__(self, text: str) -> None:
        self.keys: dict[TomlPath, Position] = {}
        self.values: dict[TomlPath, Position] = {}
        self._lines = text.encode().split(b"\n")
        self._array_lengths: dict[TomlPath, int] = {}
        # A router whose file is valid never needs a position.
        import tree_sitter
        import tree_sitter_toml

        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
        for node in parser.parse(text.encode()).root_node.named_children:
            match node.type:
                case "pair":
                    self._read_pair(node, ())
                case "table" | "table_array_element":
                    self._read_table(node)

    def of_key(self, path: TomlPath) -> Position:
        """Return where the key at the end of ``path`` is written, else where the nearest table around it is."""
        return self._nearest(path, self.keys)

    def of_value(self, path: TomlPath) -> Position:
        """Return where the value at ``path`` is written, else where the nearest table around it is."""
        return self._nearest(path, self.values)

    def _nearest(self, path: TomlPath, wanted: dict[TomlPath, Position]) -> Position:
        found = wanted.get(path)
        while found is None and path:
            found = self.keys.get(path) or self.values.get(path)
            path = path[:-1]
        return found or Position(1, 1)

    def _read_table(self, node: tree_sitter.Node) -> None:
        children = [child for child in node.named_children if child.type != "comment"]
        if not children:
            return
        header, *rest = children
        path: TomlPath = ()
        parts = _key_parts(header)
        for place, (name, part) in enumerate(parts):
            path = (*path, name)
            self.keys.setdefault(path, self._position(part))
            if node.type == "table_array_element" and place == len(parts) - 1:
                number = self._array_lengths.get(path, 0)
                self._array_lengths[path] = number + 1
                path = (*path, number)
                self.keys[path] = self._position(part)
            elif path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        for child in rest:
            if child.type == "pair":
                self._read_pair(child, path)

    def _read_pair(self, node: tree_sitter.Node, path: TomlPath) -> None:
        children = [child for child in node.named_children if child.type != "comment"]
        if len(children) != 2:
            return
        for name, part in _key_parts(children[0]):
            path = (*path, name)
            self.keys.setdefault(path, self._position(part))
        self._read_value(children[1], path)

    def _read_value(self, node: tree_sitter.Node, path: TomlPath) -> None:
        self.values[path] = self._position(node)
        children = [child for child in node.named_children if child.type != "comment"]
        if node.type == "array":
            for number, child in enumerate(children):
                self._read_value(child, (*path, number))
        elif node.type == "inline_table":
            for child in children:
                self._read_pair(child, path)

    def _position(self, node: tree_sitter.Node) -> Position:
        row, column = node.start_point
        before = self._lines[row][:column] if row < len(self._lines) else b""
        return Position(row + 1, len(before.decode(errors="replace")) + 1)


def _key_parts(node: tree_sitter.Node) -> list[tuple[str, tree_sitter.Node]]:
    """Return the names of a key that may be dotted, each with its node."""
    if node.type == "dotted_key":
        return [_key_part(leaf) for leaf in _leaves(node)[:MAX_DEPTH]]
    return [_key_part(node)]


def _leaves(node: tree_sitter.Node) -> list[tree_sitter.Node]:
    """Return the parts of a dotted key, which the grammar nests to the left."""
    found: list[tree_sitter.Node] = []
    while node.type == "dotted_key" and node.named_children:
        node, *last = node.named_children
        found += reversed(last)
    return [node, *reversed(found)]


def _key_part(node: tree_sitter.Node) -> tuple[str, tree_sitter.Node]:
    text = (node.text or b"").decode(errors="replace")
    if node.type != "quoted_key":
        return text, node
    try:
        return next(iter(tomllib.loads(f"{text} = 0"))), node
    except tomllib.TOMLDecodeError:
        return text, node
