"""Generate rows of the request log that are shaped as live ones, and stream them to Parquet files of an hour.

Columns, types and defaults come from the record's own declaration, plans from the catalogue: a request of a model has
as many candidates as the model has endpoints; ``benchmarks.data.sessions`` draws who sends it. A seed and a start give
the same rows on every machine.

Lengths of prompts lie between those of the two services of Azure's traces of 2023 (CC-BY-4.0): medians of 1,020 and
1,469 tokens, of whose logarithms the standard deviations are 1.0 and 1.4. Completions are those of its conversations,
129 tokens and 0.9. Other figures are authored.

    python -m benchmarks.data.generate FOLDER --rows 1000000 --hours 720
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data.sessions import APPS, HOUR_US, Population, hex_names
from data.catalogue import load_catalogue
from data.lake import Lake
from data.record.generated_rows import meter_charges, pick, record_table, struct_lists
from data.record.record import RECORD_SCHEMA, RECORD_VERSION

START = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = 40
COUNTRIES = ("US", "DE", "GB", "IN", "FR", "BR", "JP", "NL", "CA", "PL", "ES", "SE")
CATEGORIES = ("programming", "health", "finance", "legal", "roleplay", "science", "translation", "academia")
TAGS = ("code_generation", "code_review", "summarisation", "question_answering", "creative_writing")
LANGUAGES = ("en", "zh", "ru", "es")
ERRORS = ("rate_limit_exceeded", "timeout", "provider_unavailable", "invalid_request", "context_length_exceeded")
FINISHES = ("stop", "length", "tool_calls")


class GeneratedHour(NamedTuple):
    """Hold the rows of one hour, in order of arrival."""

    hour: datetime
    table: pa.Table


class RowGenerator:
    """Generate hours of rows."""

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed
        catalogue = load_catalogue()
        offered = sorted(catalogue.endpoints.items(), key=lambda found: (-len(found[1]), found[0]))
        chat = {name: [one for one in endpoints if one.task == "chat"] for name, endpoints in offered}
        eligible = {name: [one for one in endpoints if one.enabled] for name, endpoints in chat.items()}
        offered = [(name, endpoints) for name, endpoints in offered if len(eligible[name]) > 1][:MODELS]
        self._models = [name for name, _ in offered]
        self._sizes = np.array([len(eligible[name]) for name in self._models])
        self._first = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])
        flat = [endpoint for name in self._models for endpoint in eligible[name]]
        self._endpoints = pa.array([endpoint.id for endpoint in flat])
        self._providers = pa.array([endpoint.provider for endpoint in flat])
        prices = [endpoint.price for endpoint in flat]
        self._prompt = np.array([price.prompt // 1_000_000 if price else 100 for price in prices])
        self._completion = np.array([price.completion // 1_000_000 if price else 400 for price in prices])
        plans = [_candidates(endpoints) for _, endpoints in offered]
        chances = [[one["probability"] for one in plan if one["excluded_by"] is None] for plan in plans]
        self._candidates = pa.array(plans, _type("candidates"))
        self._arms = pa.array([_arms(one) for one in chances], _type("arms"))
        self._chances = np.concatenate(chances)
        self._version = catalogue.version
        self._population = Population(seed, len(self._models))

    def hour(self, hour: datetime, rows: int) -> pa.Table:
        """Return ``rows`` requests that arrive within ``hour``, with the columns of ``RECORD_SCHEMA``."""
        begin = int(hour.timestamp()) * 1_000_000
        dice = np.random.default_rng([self._seed, begin // HOUR_US])
        return record_table(self._columns(dice, begin, rows), rows)

    def _columns(self, dice: np.random.Generator, begin: int, rows: int) -> dict[str, Any]:
        senders = self._population.draw(dice, rows)
        model, key, session, user = senders.model, senders.key, senders.session, senders.user
        moments = senders.moment + begin
        place = self._first[model] + (dice.beta(0.5, 4, rows) * self._sizes[model]).astype(np.int64)
        failed, retried = dice.random(rows) < 0.02, dice.random(rows) < 0.05
        error = np.where(failed, dice.integers(0, len(ERRORS), rows), -1)
        prompt = np.minimum(dice.lognormal(7.1, 1.2, rows), 200_000).astype(np.int64) + 1
        completion = np.where(failed, 0, np.minimum(dice.lognormal(4.9, 0.9, rows), 16_000).astype(np.int64) + 1)
        body = (prompt * dice.uniform(3, 5, rows)).astype(np.int64) + 200
        cached = np.where(dice.random(rows) < 0.3, prompt // 2, 0)
        ttft = (dice.lognormal(13, 0.7, rows) * (1 + place % 7 / 5)).astype(np.int64)
        served = ttft + completion * (5_000 + place % 11 * 1_000)
        parts = [
            (prompt - cached) * self._prompt[place], completion * self._completion[place],
            cached * self._prompt[place] // 10,
        ]  # fmt: skip
        names = pa.array(self._models).take(pa.array(model))
        endpoint, provider = self._endpoints.take(pa.array(place)), self._providers.take(pa.array(place))
        errors = pick(ERRORS, error)
        stream = dice.random(rows) < 0.7
        made: dict[str, Any] = {
            "generation_id": _ids(moments, hex_names(dice, rows, 10)),
            "upstream_id": pc.if_else(pa.array(failed), pa.scalar(None, pa.string()), hex_names(dice, rows, 12)),
            "started_at": moments,
            "worker": pick([f"host-{n}" for n in range(4)], dice.integers(0, 4, rows)),
            "requested_model": names, "model": names, "author": pick([n.split("/")[0] for n in self._models], model),
            "stream": stream, "status": np.where(failed, 502, 200), "duration_us": served + 2_000,
            "schema_version": np.full(rows, RECORD_VERSION), "skin": pick(("chat", "messages"), session % 5 // 4),
            "wire_format": pick(("openai_chat", "anthropic_messages"), place % 6 // 5),
            "workspace": pick([f"workspace-{n}" for n in range(20)], key % 20),
            "key_hash": self._population.keys.take(pa.array(key)),
            "user_hash": self._population.users.take(pa.array(user, mask=~senders.named)),
            "app": pick([f"https://app-{n}.example" for n in range(APPS)], senders.app),
            "user_agent": pick([f"agent/{n}" for n in range(30)], key % 30),
            "country": pick(COUNTRIES, user % len(COUNTRIES)),
            "session_id": senders.sessions.take(pa.array(session, mask=~senders.named)),
            "tools": np.where(session % 4 == 0, 5, 0), "body_bytes": body,
            "output_bytes": completion * 6 + dice.integers(300, 900, rows),
            "parameters": pa.array([["messages", "model", "stream"]] * 1, pa.list_(pa.string())).take(_zeros(rows)),
            "estimated_prompt_tokens": body // 4, "modality": pick(("text", "image"), session % 10 // 9),
            "input_media": pa.array([["text"], ["text", "image"]]).take(pa.array(session % 10 // 9)),
            "output_media": pa.array([["text"]]).take(_zeros(rows)), "policy": pick(("price", "learned"), place % 2),
            "policy_version": pick(("1",), place * 0), "draw": dice.random(rows),
            "propensity": self._chances[place], "catalogue_version": pick((self._version,), place * 0),
            "health_epoch": moments // 1_000_000, "client_region": pick(("us", "eu"), session % 2),
            "candidates": self._candidates.take(pa.array(model)), "arms": self._arms.take(pa.array(model)),
            "attempts": self._attempts(place, model, names, errors, failed, retried, ttft, served),
            "endpoint": endpoint, "provider": pc.if_else(pa.array(failed), pa.scalar(None, pa.string()), provider),
            "error_type": errors, "finish_reason": pick(FINISHES, np.where(failed, -1, session % 3)),
            "native_finish_reason": pick(FINISHES, np.where(failed, -1, session % 3)),
            "tool_calls": pa.array(np.ones(rows, np.int32), mask=failed | (session % 3 != 2)),
            "prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": cached,
            "reasoning_tokens": completion // 4, "charges": meter_charges([prompt - cached, completion, cached], parts),
            "cost_nano": sum(parts), "cost_prompt_nano": parts[0], "cost_completion_nano": parts[1],
            "cost_cached_nano": parts[2],
            "ttft_us": pa.array(ttft + 900, pa.int64(), mask=failed), "overhead_us": dice.integers(500, 3_000, rows),
            "category": pick(CATEGORIES, np.where(dice.random(rows) < 0.2, session % len(CATEGORIES), -1)),
        }  # fmt: skip
        labelled = pc.is_valid(made["category"])
        made["task_tag"] = pc.if_else(labelled, pick(TAGS, session % len(TAGS)), None)
        made["natural_language"] = pc.if_else(labelled, pick(LANGUAGES, session % len(LANGUAGES)), None)
        made["category_confidence"] = pc.if_else(pc.is_valid(made["category"]), pa.array(dice.random(rows)), None)
        return made

    def _attempts(
        self, place: Any, model: Any, names: Any, errors: Any, failed: Any, retried: Any, ttft: Any, served: Any
    ) -> pa.Array:
        """Return an attempt that served or failed for each request; where it was retried, a failed one before it."""
        counts = np.where(retried, 2, 1)
        row = np.repeat(np.arange(len(place)), counts)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        last = np.zeros(len(row), bool)
        last[offsets[1:] - 1] = True
        before = (self._first[model] + (place - self._first[model] + 1) % self._sizes[model])[row]
        where, bad = np.where(last, place[row], before), ~last | failed[row]
        taken = pa.array(row)
        error = pc.if_else(pa.array(last), errors.take(taken), "timeout")
        columns: dict[str, Any] = {
            "started_us": pa.array(np.where(last, 0, served[row] // 2) + place[row] % 97 + 50, pa.int64()),
            "endpoint": self._endpoints.take(pa.array(where)), "provider": self._providers.take(pa.array(where)),
            "model": names.take(taken), "status": pa.array(np.where(bad, 502, 200), pa.int32()), "error_type": error,
            "reason": pick(("sampled", "fallback:timeout"), (last & retried[row]).astype(np.int64)),
            "ttft_us": pa.array(ttft[row], pa.int64(), mask=bad), "duration_us": pa.array(served[row], pa.int64()),
        }  # fmt: skip
        return struct_lists("attempts", columns, offsets)


def hours(rows: int, hours: int, seed: int = 7, start: datetime = START) -> Iterator[GeneratedHour]:
    """Yield ``hours`` hours that together have ``rows`` rows, more of them by day than by night."""
    generator = RowGenerator(seed)
    weights = 1 + 0.6 * np.sin(np.arange(hours) % 24 / 24 * 2 * np.pi)
    edges = np.round(np.cumsum(weights) / weights.sum() * rows).astype(np.int64)
    counts = np.diff(edges, prepend=0)
    for number, count in enumerate(counts):
        hour = start + timedelta(hours=number)
        yield GeneratedHour(hour, generator.hour(hour, int(count)))


def fill_lake(lake: Lake, generated: Iterator[GeneratedHour], files_an_hour: int = 1) -> int:
    """Write each hour as sealed files, and return the number of rows."""
    written = 0
    for one in generated:
        folder = lake.requests / f"day={one.hour:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        edges = np.linspace(0, len(one.table), files_an_hour + 1).astype(int)
        for number, (begin, end) in enumerate(pairwise(edges)):
            name = f"generated-{one.hour:%Y%m%dT%H}-{number:04d}.parquet"
            pq.write_table(one.table.slice(begin, end - begin), folder / name, compression="zstd")
        written += len(one.table)
    return written


def _type(name: str) -> Any:
    return RECORD_SCHEMA.field(name).type


def _zeros(rows: int) -> pa.Array:
    return pa.array(np.zeros(rows, np.int64))


def _ids(moments: Any, digits: pa.Array) -> pa.Array:
    seconds = pa.array(moments // 1_000_000).cast(pa.string())
    return pc.binary_join_element_wise("gen", seconds, digits, "-")


def _candidates(endpoints: Any) -> list[dict[str, Any]]:
    """Return the plan of a model: the endpoints that may serve come first, the more probable the cheaper they are."""
    scores = {one.id: (one.price.prompt * 3 + one.price.completion) / 4e9 if one.price else None for one in endpoints}
    weights = {one.id: max(scores[one.id] or 1, 0.01) ** -2 if one.enabled else 0.0 for one in endpoints}
    total = sum(weights.values())
    return [
        {
            "endpoint": one.id, "probability": weights[one.id] / total, "excluded_by": one.disabled_reason,
            "score": scores[one.id],
        }
        for one in sorted(endpoints, key=lambda one: not one.enabled)
    ]  # fmt: skip


def _arms(chances: list[float]) -> list[dict[str, Any]]:
    return [{"policy": "price", "version": "1", "weight": 1.0, "cumulative": np.cumsum(chances).tolist()}]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.generate", description=__doc__)
    parser.add_argument("folder", type=Path, help="data directory to fill")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--hours", type=int, default=720)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    lake = Lake(chosen.folder).create()
    print(f"{fill_lake(lake, hours(chosen.rows, chosen.hours, chosen.seed)):,} rows written to {lake.requests}")


if __name__ == "__main__":
    main()
