"""Give each author one colour, whatever a chart shows beside it; models have shades of their author's."""

from __future__ import annotations

import colorsys
from zlib import crc32

REST = "others"
GREY = "#b0b7bf"
_AUTHORS = {
    "anthropic": "#c0562f",
    "openai": "#3d8168",
    "google": "#1f6fb2",
    "deepseek": "#5b62c9",
    "qwen": "#7a5195",
    "x-ai": "#6b7280",
    "meta-llama": "#2f9fc9",
    "mistralai": "#e08e1b",
    "z-ai": "#9c3d54",
    "moonshotai": "#2f7f86",
    "minimax": "#d0627e",
    "cohere": "#8a8f3c",
    "nvidia": "#6fa33a",
    "amazon": "#b58b2a",
    "microsoft": "#4f8fd6",
}
_PROVIDERS = {
    "google": "#1f6fb2",
    "google-vertex": "#7fb2de",
    "anthropic": "#c0562f",
    "amazon-bedrock": "#b58b2a",
    "openai": "#3d8168",
    "azure": "#2f9fc9",
    "xai": "#6b7280",
    "deepinfra": "#7a5195",
    "novita-ai": "#d0627e",
    "fireworks-ai": "#9c3d54",
    "groq": "#e08e1b",
    "togetherai": "#5b62c9",
    "deepseek": "#4450a8",
    "cerebras": "#8a8f3c",
    "mistral": "#d97a34",
    "nebius": "#6fa33a",
}

_POLICIES = {
    "price": "#1f6fb2",
    "learned": "#e08e1b",
    "adjusted": "#2f7f86",
    "exacto": "#7a5195",
    "sticky": "#6fa33a",
    "sort": "#9c3d54",
    "order": "#b58b2a",
    "wished": "#d0627e",
}


def author_colour(author: str | None) -> str:
    """Return the colour of an author as ``#rrggbb``."""
    if author is None or author == REST:
        return GREY
    return _AUTHORS.get(author) or _hex(crc32(author.encode()) % 360 / 360, 0.48, 0.45)


def model_colour(model: str) -> str:
    """Return a shade of the colour of a model's author, which its name chooses."""
    return GREY if model == REST else _shade(author_colour(model.split("/")[0]), model)


def policy_colour(name: str) -> str:
    """Return the colour of a policy, or for a policy and its version a shade of it."""
    policy, _, version = name.partition(" ")
    found = _POLICIES.get(policy)
    if found is None:
        return name_colour(name)
    return _shade(found, name) if version else found


def _shade(colour: str, name: str) -> str:
    """Return a shade of a colour which the name chooses."""
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    number = crc32(name.encode())
    turned = (hue + (number // 7 % 5 - 2) * 0.018) % 1
    return _hex(turned, min(0.8, max(0.28, light + (number % 7 - 3) * 0.075)), saturation)


def provider_colour(provider: str) -> str:
    """Return the colour of a provider; known ones differ well from each other."""
    return _PROVIDERS.get(provider) or name_colour(provider)


def name_colour(name: str) -> str:
    """Return a colour that any other name, such as that of a key or an error, has everywhere."""
    return GREY if name == REST else _hex(crc32(name.encode()) % 360 / 360, 0.5, 0.42)


def _hex(hue: float, light: float, saturation: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colorsys.hls_to_rgb(hue, light, saturation))
