"""``docs/record.md`` out of ``data.schema``; ``tests/test_docs.py`` holds the page to what this prints."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from data.schema import ARM, ATTEMPT, CANDIDATE, COLUMNS, SCHEMA_VERSION

PAGE = Path(__file__).parents[1] / "docs" / "record.md"
HEAD = f"""# The request record

One row per request, written once; made from `data/schema.py` (version {SCHEMA_VERSION}) by
`python -m benchmarks.write_record_doc`. `*_us` are microseconds, `*_nano` nano-USD (10⁻⁹ USD), `*_tokens` the
provider's own tokens. A duration that did not happen is null, never 0. Prompts and completions are not in it.

| column | type | null | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = "".join(
        f"| {name} | {_name(kind)} | {'yes' if nullable else ''} | {meaning.replace('|', 'or')} |\n"
        for name, kind, nullable, meaning in COLUMNS
    )
    return HEAD + rows + _parts("candidates", CANDIDATE) + _parts("arms", ARM) + _parts("attempts", ATTEMPT)


def _name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_name(kind.value_type)}"
    return "struct" if pa.types.is_struct(kind) else str(kind).replace("timestamp[us, tz=UTC]", "timestamp, UTC")


def _parts(column: str, struct: pa.StructType) -> str:
    fields = "".join(f"| {field.name} | {_name(field.type)} |\n" for field in struct)
    return f"\n## Each of `{column}`\n\n| field | type |\n|---|---|\n{fields}"


if __name__ == "__main__":
    PAGE.write_text(page())
