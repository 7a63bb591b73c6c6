"""Make the page of what each client API can do in front of each wire format.

Run it to write the page: ``python -m tests.router_service.pairs.pair_matrix > docs/api-pairs.md``.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from lab.server import create_app
from tests.conftest import Stack, open_stack, serving
from tests.router_service.conversation.recording_lab import RecordingLab
from tests.router_service.conversation.spoken import SPOKEN
from tests.router_service.conversation.spoken.spoken_format import SpokenFormat
from tests.router_service.pairs.pair_rows import CLIENTS, PLACES, ROWS, PairResult, PairWorld, run_row
from tests.router_service.providers.formats.bedrock_converse.converse_world import account_file

PAIRS = [(skin, wire_format) for skin in CLIENTS for wire_format in PLACES]


CHECKED = {
    "plain": "the text, its counts of tokens and the reason of its end, not streamed",
    "stream": "each piece of the text, the counts and the end, streamed",
    "tools": "the call's name and arguments, and that the answer ended with it, not streamed",
    "tools streamed": "the same, streamed",
    "parallel tool calls": "two calls in one answer",
    "custom tool": "a call of a tool that takes any text",
    "json_schema": "JSON with the members of a strict schema, which the provider was sent",
    "reasoning": "all readable reasoning, and the count of its tokens",
    "image in": "the provider has seen the image's type and bytes",
    "cached prompt": "a prompt with `cache_control` is sent twice, and the second response counts the cached tokens",
    "error before the first token": "a rate limit of the provider: its status, in the error envelope of the API",
    "error mid-stream": "the text so far, then the API's own error within the stream; the log has the error",
    "cut": "the same where the provider closes the connection within the stream",
    "cancel": "the client disconnects within the stream: the log says so, and the provider's connection is closed",
    "second turn": (
        "the answer is sent back with a question: its text reaches the provider, and the signature or the encrypted "
        "content of its reasoning does as the provider has made it"
    ),
}


@dataclass
class PairMatrix:
    """Run the cells, each once."""

    stack: Stack
    lab: RecordingLab
    http: httpx2.Client
    cells: dict[tuple[str, str, str], PairResult] = field(default_factory=dict)

    def cell(self, row: str, skin: str, wire_format: str) -> PairResult:
        """Return what a cell says. Raises ``AssertionError`` where the router does something wrong."""
        place = row, skin, wire_format
        if place not in self.cells:
            self.cells[place] = run_row(PairWorld(self.stack, self.lab, self.http, skin, wire_format, row))
        return self.cells[place]

    def page(self) -> str:
        """Return the page."""
        numbers: dict[str, int] = {}
        lines = [*_head(), f"| | {' | '.join(f'{skin}, `{wire_format}`' for skin, wire_format in PAIRS)} |"]
        lines.append("|---" * (len(PAIRS) + 1) + "|")
        for row in ROWS:
            shown = []
            for pair in PAIRS:
                found = self.cell(row, *pair)
                number = numbers.setdefault(found.explanation, len(numbers) + 1) if found.explanation else None
                shown.append(found.state if number is None else f"{found.state} ({number})")
            lines.append(f"| {row} | {' | '.join(shown)} |")
        lines += ["", *(f"{number}. {explanation}" for explanation, number in numbers.items())]
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def opened_matrix(folder: Path) -> Iterator[PairMatrix]:
    """Open a router in front of a lab whose providers refuse what the vendors refuse."""
    lab = RecordingLab(time_scale=0.0, faults=False, strict=True)
    with serving(create_app(lab)) as url:
        with open_stack(folder, lab, config=account_file(folder, url)) as stack, stack.client as http:
            yield PairMatrix(stack, lab, http)


def _head() -> list[str]:
    models = [f"`{name}` has {_models(spoken)}" for name, spoken in SPOKEN.items()]
    return [
        "# What each client API does in front of each wire format",
        "",
        "This page is made from real requests (`tests/router_service/pairs/pair_matrix.py`), and a test compares it.",
        "Each cell sends them through a router to a [lab](lab.md) that refuses what the vendors refuse, and compares",
        "what the client receives with what the provider has sent. A column is a client API in front of a wire format:",
        *(f"{one}," for one in models[:-2]),
        f"{models[-2]} and",
        f"{models[-1]}.",
        "",
        "*yes*: the client gets what the provider has sent. *emulated*: it does in another way, which the numbered",
        "sentence below the table tells. *partly*: the sentence says what the provider does not send. *unsupported*:",
        "it says what happens instead.",
        "",
        "| row | what is checked, streamed and not unless it says which |",
        "|---|---|",
        *(f"| {row} | {CHECKED[row]} |" for row in ROWS),
        "",
    ]


def _models(spoken: SpokenFormat) -> str:
    others = [f", for *{row}* `{place.model}`" for row, place in spoken.row_places.items()]
    return f"`{spoken.places[0].model}`{''.join(others)}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, opened_matrix(Path(name)) as matrix:
        print(matrix.page(), end="")
