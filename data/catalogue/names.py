"""Resolve a provider's name for a model to the canonical model, its quantization and its deployment.

A name is parsed, never matched by similarity: path, region and reseller prefixes are removed, ``v3p1`` and ``m2-5``
become ``v3.1`` and ``m2.5``, precision suffixes become ``quantization``, suffixes of a faster or otherwise separate
deployment become ``serving``. Sizes, ``-instruct`` / ``-thinking`` / ``-base`` and words such as ``mini`` and ``lite``
stay, because they name other weights. Dates stay too; ``aliases`` decides on them. ``authored.toml`` has the facts
that no rule can derive.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

QUANTIZATIONS = ("nvfp4", "mxfp4", "mxfp8", "bf16", "fp16", "fp32", "int4", "int8", "fp4", "fp6", "fp8")
PRECISION = {
    **{name: name for name in QUANTIZATIONS},
    "awq": "int4", "gptq": "int4", "w4a16": "int4", "4bit": "int4", "mlx-4bit": "int4", "int4-mixed-ar": "int4",
    "q4-k-m": "int4", "iq4-xs": "int4", "8bit": "int8", "fp8-dynamic": "fp8", "fp8-tput": "fp8", "gguf": "unknown",
}  # fmt: skip
REGION = re.compile(r"^(us|eu|apac|global|jp|au)\.(?=[a-z])")
CLOUD_VENDOR = re.compile(
    r"^(anthropic|meta|mistral|openai|deepseek|qwen|amazon|cohere|google|minimax|moonshotai|moonshot|nvidia|writer|zai)\."
)
# Words that occur in names of fine-tunes alone.
FINE_TUNE = re.compile(r"abliterated|derestricted|uncensored|arliai|heretic|tiger|cardprojector|glitter|-eva-|lumimaid")
# All of Meta's names have this form; "llama-3.3-70b-" and any other word names another author's fine-tune.
META_FORM = re.compile(
    r"^llama-(prompt-)?(guard-[\d.]+|[\d.]+)-(\d+b|scout|maverick)(-\d+b)?(-\d+e)?"
    r"(-(chat|instruct|vision|versatile|instant|8192))*$"
)


class ResolvedName(NamedTuple):
    """Hold a parsed name. ``canonical`` is ``author/slug``, ``serving`` the suffix of a separate deployment if any."""

    canonical: str
    quantization: str
    serving: str | None
    free: bool


@cache
def authored() -> dict[str, Any]:
    """Return the facts of ``authored.toml``."""
    return tomllib.loads(resources.files("data.catalogue").joinpath("authored.toml").read_text())


def resolve_name(provider: str, upstream_model: str) -> ResolvedName | None:
    """Return the canonical name of ``upstream_model`` at ``provider``, or ``None`` when its author is unknown.

    A name in ``moving`` of the authored facts resolves to the model recorded there for this provider.
    """
    facts = authored()
    *path, bare = upstream_model.lower().strip().split("/")
    bare, free = _plain(bare)
    servings = [word for word in path if word in facts["path_servings"]]
    region = REGION.match(bare)
    if region:
        servings.append(region[1])
    bare = CLOUD_VENDOR.sub("", REGION.sub("", bare))
    bare = _without_seller(_digits(bare))
    bare, quantization, suffixes = _take_suffixes(bare, provider)
    author = _author(bare, path) or facts["own_authors"].get(provider)
    moving = facts["moving"].get(f"{provider}:{upstream_model}")
    if moving is None:
        if author is None:
            return None
        slug = _spelling(bare, author)
        if author == "meta-llama" and not META_FORM.match(slug):
            return None
        moving = facts["renames"].get(f"{author}/{slug}", f"{author}/{slug}")
    elif not moving:
        return None
    return ResolvedName(moving, quantization, "-".join(suffixes + servings) or None, free)


def _plain(name: str) -> tuple[str, bool]:
    """Return the name without markers of price and of the deployment's version, and true if it was marked free."""
    free = name.endswith((":free", "-free"))
    name = re.sub(r"[:-]free$|:latest$|@default$", "", name)
    name = re.sub(r"^(hf:|~|workers-ai-)", "", name)
    name = re.sub(r"-(v?\d+:)\d+$", "", name) if ":" in name else name
    return re.sub(r"[_: @]", "-", name), free


def _digits(name: str) -> str:
    """Rewrite ``v3p1`` and ``m2-5`` to ``v3.1`` and ``m2.5``. A digit before a size (``3-8b``) is no version."""
    name = re.sub(r"(?<=\d)p(?=\d)", ".", name)
    return re.sub(r"(?<![\d.])(\d)-(\d)(?=-|$)", r"\1.\2", name)


def _without_seller(name: str) -> str:
    """Remove a prefix such as ``openai-`` or ``databricks-`` from a name that is complete without it."""
    for prefix in authored()["sellers"]:
        rest = name.removeprefix(prefix).lstrip("-")
        if rest != name and _author(rest, []):
            return rest
    return name


def _take_suffixes(name: str, provider: str) -> tuple[str, str, list[str]]:
    """Return name, precision, servings. A suffix is a serving at the providers recorded for it alone."""
    facts = authored()
    quantization = "unknown"
    servings: list[str] = []
    own = name in facts["own_names"]
    while True:
        # The longest suffix comes first: removing -dynamic from -fp8-dynamic would leave -fp8.
        found = next((s for s in sorted(PRECISION, key=len, reverse=True) if name.endswith(f"-{s}")), None)
        if found:
            quantization = PRECISION[found]
            name = name.removesuffix(f"-{found}")
            continue
        found = next((s for s in facts["servings"] if name.endswith(f"-{s}")), None)
        own = own or name in facts["own_names"]
        if found is None or own or not {provider, "*"} & set(facts["servings"][found]):
            return name, quantization, servings[::-1]
        servings.append(found)
        name = name.removesuffix(f"-{found}")


def _author(name: str, path: list[str]) -> str | None:
    """Return the author: the one a folder of the path names, else the one of the longest known prefix."""
    facts = authored()
    for word in reversed(path):
        if word in facts["path_authors"]:
            return str(facts["path_authors"][word])
    if FINE_TUNE.search(name) and not name.startswith("venice-uncensored"):
        return None
    found = [(len(prefix), author) for prefix, author in facts["authors"].items() if name.startswith(prefix)]
    return max(found)[1] if found else None


def _spelling(name: str, author: str) -> str:
    for pattern, replacement in authored()["spellings"].get(author, ()):
        name = re.sub(pattern, replacement, name)
    return re.sub(r"-{2,}", "-", name).strip("-")
