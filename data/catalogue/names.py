"""The resolver: one provider's name for a model → the canonical model, how it is served, and which copy it is.

A name is taken apart, never matched by likeness: path and region prefixes go, ``v3p1`` is ``v3.1``,
precision suffixes become ``quantization``, serving suffixes (``-turbo``, ``-fast``) become part of the
tag. Dates, sizes and ``-instruct`` / ``-thinking`` / ``-base`` stay: they name other weights. A date
is taken off only where the author's own undated name is in the catalogue at the same price.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

QUANTIZATIONS = ("nvfp4", "mxfp4", "mxfp8", "bf16", "fp16", "fp32", "int4", "int8", "fp4", "fp6", "fp8")
SUFFIX = {"awq": "int4", "gptq": "int4", "4bit": "int4", "8bit": "int8", "w4a16": "int4"}
# Hosts that sell a faster or cheaper copy of the same weights under a suffix.
SERVINGS = ("turbo", "fast", "lite", "tput", "dedicated", "eu", "us", "maas", "tee")
# Authors whose own model names end in these words: there they are part of the name.
SERVING_IS_NAME = ("openai", "qwen", "x-ai", "anthropic", "google", "amazon", "z-ai", "mistralai")
REGION = re.compile(r"^(us|eu|apac|global|jp|au)\.(?=[a-z])")
DATE = re.compile(r"[-@](20\d{2}-?[01]\d-?[0-3]\d)$")


class Name(NamedTuple):
    """``canonical`` is ``author/slug``; ``serving`` the suffix of a differently served copy or ``None``."""

    canonical: str
    quantization: str
    serving: str | None
    free: bool


@cache
def authored() -> dict[str, Any]:
    """The authored facts beside this file."""
    return tomllib.loads(resources.files("data.catalogue").joinpath("authored.toml").read_text())


def resolve_name(provider: str, upstream_model: str) -> Name | None:
    """Canonical name of ``upstream_model`` at ``provider``; ``None`` when its author cannot be told."""
    bare, free = _bare(upstream_model)
    bare, quantization = _take_quantization(bare)
    author = _author(bare) or _own_author(provider)
    if author is None:
        return None
    bare, serving = _take_serving(bare, author)
    bare, later = _take_quantization(bare)
    slug = _spelling(bare, author)
    canonical = authored()["renames"].get(f"{author}/{slug}", f"{author}/{slug}")
    return Name(canonical, quantization or later or "unknown", serving, free)


def undated(canonical: str) -> str | None:
    """``canonical`` without its date, or ``None`` when it has none."""
    stripped = DATE.sub("", canonical)
    return stripped if stripped != canonical else None


def _bare(upstream_model: str) -> tuple[str, bool]:
    name = upstream_model.lower().strip()
    free = name.endswith(":free")
    name = re.sub(r":(free|latest)$", "", name)
    name = name.split("/")[-1]
    name = re.sub(r"^(hf:|model-|workers-ai-)", "", name)
    name = REGION.sub("", name)
    name = re.sub(r"^(anthropic|meta|mistral|openai|deepseek|qwen|amazon|cohere|google|minimax|moonshotai)\.", "", name)
    name = re.sub(r"-v\d+:\d+$", "", name)
    name = re.sub(r"(?<=\d)p(?=\d)", ".", name)
    return name.replace("_", "-").replace(":", "-").replace(" ", "-"), free


def _take_quantization(name: str) -> tuple[str, str | None]:
    for suffix in (*QUANTIZATIONS, *SUFFIX):
        if name.endswith(f"-{suffix}"):
            return name.removesuffix(f"-{suffix}"), SUFFIX.get(suffix, suffix)
    return name, None


def _take_serving(name: str, author: str) -> tuple[str, str | None]:
    for suffix in SERVINGS:
        if name.endswith(f"-{suffix}") and author not in SERVING_IS_NAME:
            return name.removesuffix(f"-{suffix}"), suffix
    return name, None


def _author(name: str) -> str | None:
    found = [(len(prefix), author) for prefix, author in authored()["authors"].items() if name.startswith(prefix)]
    return max(found)[1] if found else None


def _own_author(provider: str) -> str | None:
    own = {"cohere": "cohere", "upstage": "upstage", "inception": "inception", "stepfun": "stepfun"}
    return own.get(provider)


def _spelling(name: str, author: str) -> str:
    name = re.sub(r"^(meta-)?llama-?v?(?=\d)", "llama-", name) if author == "meta-llama" else name
    if author == "anthropic":
        # claude-3-5-sonnet-20241022 and claude-sonnet-4-5 are 3.5 and 4.5 in canonical names.
        name = re.sub(r"(?<=-)(\d)-(\d)(?=-|$|@)", r"\1.\2", name)
        name = re.sub(r"-(v\d+|latest)$", "", name)
    if author == "qwen":
        name = re.sub(r"^qwen-?2[.-]5", "qwen-2.5", name)
        name = re.sub(r"^qwen-3", "qwen3", name)
    if author == "deepseek":
        name = re.sub(r"^deepseek-(v\d)[-.](\d)(?!\d)", r"deepseek-\1.\2", name)
    return re.sub(r"-{2,}", "-", name).strip("-")
