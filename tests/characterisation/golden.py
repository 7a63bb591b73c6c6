"""Golden files: what the router sent and answered, byte for byte, but for what changes from run to run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
INDEX = FOLDER / "known_wrong.toml"
SUFFIX = ".golden"
# What changes from run to run, and what stands for it.
VOLATILE = (
    (re.compile(rb"gen-\d{10}-[0-9a-f]{20}"), b"gen-<id>"),
    (re.compile(rb'("object":"chat\.completion(?:\.chunk)?","created":)\d{10}'), rb"\1<seconds>"),
    (re.compile(rb'("(?:latency|generation_time|health_epoch)":)(?:\d+(?:\.\d+)?(?:e-?\d+)?)'), rb"\1<number>"),
    (re.compile(rb'("created_at":)"[^"]*"'), rb'\1"<time>"'),
    (re.compile(rb"call_[0-9a-f]{16}_(?=\d)"), b"call_<id>_"),
    (re.compile(rb"sk-or-v1-\w{3}\.\.\.\w{3}"), b"sk-or-v1-<key>"),
    (re.compile(rb"127\.0\.0\.1:\d+"), b"127.0.0.1:<port>"),
)
# An id of the request is the generation's or made anew.
UNSTABLE_HEADERS = frozenset({"date", "server", "x-request-id"})


def normalise(content: bytes) -> bytes:
    """Return ``content`` with a placeholder for every value that changes from run to run."""
    for pattern, stand_in in VOLATILE:
        content = pattern.sub(stand_in, content)
    return content


def message(first_line: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Return an HTTP message as a golden file shows it. Its length is shown only where it is wrong."""
    fields = {name.lower(): value for name, value in headers if name.lower() not in UNSTABLE_HEADERS}
    if fields.get("content-length") == str(len(body)):
        fields["content-length"] = "<length>"
    kept = [f"{name}: {value}" for name, value in fields.items()]
    return "\n".join([first_line, *kept, "", ""]).encode("latin-1") + body


def shown_request(raw: bytes) -> bytes:
    """Return a request from the wire as a golden file shows it."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.replace(b"\r\n", b"\n") + b"\n\n" + body


def sections(**parts: bytes) -> bytes:
    """Return ``parts``, each under its name."""
    return b"".join(b"=== %b ===\n%b\n" % (name.replace("_", " ").encode(), part) for name, part in parts.items())


@cache
def known_wrong() -> dict[str, str]:
    """Return what of the goldens is known to be wrong: a sentence by their names."""
    found = tomllib.loads(INDEX.read_text(encoding="utf-8"))
    return {name: about["known_wrong"] for name, about in found.items()}


class Golden:
    """Compares with the golden files, or writes them anew where ``update`` is set."""

    def __init__(self, update: bool) -> None:
        self.update = update

    def check_variant(self, name: str, base: str, found: bytes) -> None:
        """Compare like ``check``. There is a golden ``name`` only where it differs from the golden ``base``."""
        path = FOLDER / f"{name}{SUFFIX}"
        if self.update:
            path.unlink(missing_ok=True)
            same = (FOLDER / f"{base}{SUFFIX}").read_bytes() == normalise(found)
            self.check(base if same else name, found)
        else:
            self.check(name if path.exists() else base, found)

    def check(self, name: str, found: bytes) -> None:
        """Compare ``found`` with the golden ``name``, byte for byte, or write it there."""
        path = FOLDER / f"{name}{SUFFIX}"
        found = normalise(found)
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found)
            return
        assert path.exists(), f"{path} is missing: run pytest tests/characterisation --update-golden"
        wrong = known_wrong().get(name)
        note = f"\nThe golden is known to be wrong: {wrong}" if wrong else ""
        expected = path.read_bytes()
        assert found == expected, f"{name} has changed.{note}\n{difference(expected, found)}"


def difference(expected: bytes, found: bytes) -> str:
    """Return the first line that differs, empty where none does: pytest's own diff of long bytes takes minutes."""
    before, after = expected.split(b"\n"), found.split(b"\n")
    for number, (old, new) in enumerate(zip([*before, b"<end>"], [*after, b"<end>"], strict=False), start=1):
        if old != new:
            shown = (line.decode(errors="backslashreplace") for line in (old, new))
            return "line {}\n  golden: {}\n  found:  {}".format(number, *shown)
    return ""
