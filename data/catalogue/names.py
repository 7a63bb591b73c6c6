"""The resolver: one provider's name for a model → the canonical model, how it is served, and which copy it is.

A name is taken apart, never matched by likeness: path, region and reseller prefixes go, ``v3p1`` and
``m2-5`` become ``v3.1`` and ``m2.5``, precision suffixes become ``quantization``, suffixes of a faster or
otherwise separate deployment become ``serving``. Sizes, ``-instruct`` / ``-thinking`` / ``-base`` and words
such as ``mini`` and ``lite`` stay: they name other weights. Dates stay too; ``joining`` decides on them.
What rules cannot know is written down in ``authored.toml``.
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
# Words that stand in nobody's own model names, only in names of fine-tunes.
FINE_TUNE = re.compile(r"abliterated|derestricted|uncensored|arliai|heretic|tiger|cardprojector|glitter|-eva-|lumimaid")
# All of Meta's names have this form; "llama-3.3-70b-" and any other word is a fine-tune of someone else.
META_FORM = re.compile(
    r"^llama-(prompt-)?(guard-[\d.]+|[\d.]+)-(\d+b|scout|maverick)(-\d+b)?(-\d+e)?"
    r"(-(chat|instruct|vision|versatile|instant|8192))*$"
)


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
    """Canonical name of ``upstream_model`` at ``provider``; ``None`` when its author cannot be told.

    A name in ``moving`` of the authored facts is what is written there for this provider.
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
    return Name(moving, quantization, "-".join(suffixes + servings) or None, free)


def _plain(name: str) -> tuple[str, bool]:
    """Without markers of price and version of the deployment; the second says whether it was a free one."""
    free = name.endswith((":free", "-free"))
    name = re.sub(r"[:-]free$|:latest$|@default$", "", name)
    name = re.sub(r"^(hf:|~|workers-ai-)", "", name)
    name = re.sub(r"-(v?\d+:)\d+$", "", name) if ":" in name else name
    return re.sub(r"[_: @]", "-", name), free


def _digits(name: str) -> str:
    """``v3p1``, ``m2-5`` → ``v3.1``, ``m2.5``. A digit before a size (``3-8b``) or a long number is no version."""
    name = re.sub(r"(?<=\d)p(?=\d)", ".", name)
    return re.sub(r"(?<![\d.])(\d)-(\d)(?=-|$)", r"\1.\2", name)


def _without_seller(name: str) -> str:
    """Without ``openai-``, ``zai-org-``, ``databricks-`` before a name that is whole without it."""
    for prefix in authored()["sellers"]:
        rest = name.removeprefix(prefix).lstrip("-")
        if rest != name and _author(rest, []):
            return rest
    return name


def _take_suffixes(name: str, provider: str) -> tuple[str, str, list[str]]:
    """Name, precision, servings. Servings of one provider mean nothing at another, where they may be a model."""
    facts = authored()
    quantization = "unknown"
    servings: list[str] = []
    own = name in facts["own_names"]
    while True:
        # Longest first: -fp8-dynamic before -dynamic would leave -fp8 alone.
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
    """By the path where it names a company that trains under others' names, else by how the name begins."""
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
