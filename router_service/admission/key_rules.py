"""Parse the rules of an API key, which requests may only tighten, and its defaults, which requests may override."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from data.catalogue.geography import is_place
from router_service.core.errors import ApiError
from router_service.core.preferences import NO_PREFERENCES, WEIGHT_FIELDS, Preferences, Sort, parse_preferences

RULES = ("data_collection", "zdr", "enforce_distillable_text", "region", "max_price")
DEFAULTS = ("strategy", "sort", "ttft_timeout", "stall_timeout", *WEIGHT_FIELDS)
FIELDS = (*RULES, *DEFAULTS, "client_region")
CLIENT_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")


class KeyRulesError(ValueError):
    """Invalid rules of a key; the message says what to change."""


class KeyRules(NamedTuple):
    """Rules of an API key: ``preferences`` with ``RULES`` and ``DEFAULTS`` alone, and the region of its clients."""

    preferences: Preferences = NO_PREFERENCES
    client_region: str | None = None


NO_RULES = KeyRules()


def parse_rules(text: str) -> KeyRules:
    """Parse a JSON object with ``client_region`` and fields of a request's ``provider``. Raises ``KeyRulesError``."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise KeyRulesError(f"a policy must be a JSON object: {error}") from None
    if unknown := sorted(fields.keys() - set(FIELDS)):
        raise KeyRulesError(f"{unknown[0]} is no field of a policy; there are {', '.join(FIELDS)}")
    client_region = fields.pop("client_region", None)
    if client_region is not None and not (isinstance(client_region, str) and CLIENT_REGION.fullmatch(client_region)):
        raise KeyRulesError("client_region must be at most 16 lower-case letters, digits and hyphens, such as 'europe'")
    try:
        preferences = parse_preferences(msgspec.json.encode(fields))
    except ApiError as error:
        raise KeyRulesError(error.message.replace("provider.", "")) from None
    if isinstance(preferences.sort, Sort):
        raise KeyRulesError("sort must be a name: whether models are pooled is the request's to say")
    for region in preferences.regions or ():
        if not is_place(region):
            raise KeyRulesError(f"region {region!r} is neither a country's ISO 3166 code nor an area such as 'eu'")
    return KeyRules(preferences, client_region)


def rules_fields(policy: KeyRules) -> dict[str, Any]:
    """Return the fields that are set, as plain values; ``parse_rules`` of their JSON returns ``policy`` again."""
    found = {name: getattr(policy.preferences, name) for name in (*RULES, *DEFAULTS)}
    found["client_region"] = policy.client_region
    limit = policy.preferences.max_price
    if limit is not None:
        found["max_price"] = {
            part: amount for part, amount in msgspec.structs.asdict(limit).items() if amount is not None
        }
    if policy.preferences.region is not None:
        found["region"] = list(policy.preferences.regions or ())
    return {name: value for name, value in found.items() if value is not None}
