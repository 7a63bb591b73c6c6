"""Refuse what a vendor of chat completions other than OpenAI refuses, with its status and sentences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lab.chat_vendors import ChatVendor, vendor_of
from lab.openai_fields import CHAT_REQUEST, MESSAGE, RESPONSE_FORMAT
from lab.openai_history import check_history
from lab.openai_refusals import NO_KEY, OpenAIVocabulary, check_combinations
from lab.shapes import Anything, Listed, Nullable, Number, Object, Path, RequestRefused, Shape, Tag, Tagged, check

_BARE = frozenset({"refusal", "audio", "annotations", "function_call"})


def refuse_vendor(provider: str, body: dict[str, Any], headers: Mapping[str, str]) -> None:
    """Raise ``RequestRefused`` if the vendor would refuse this request."""
    vendor = vendor_of(provider)
    assert vendor is not None
    if not headers.get("authorization") and not headers.get("api-key"):
        raise RequestRefused(NO_KEY, status=401)
    check(_shape(provider), body, (), _VendorVocabulary(vendor))
    _check_model(body, vendor)
    check_history(body["messages"])
    check_combinations(body)
    _check_output(body, vendor)
    _check_choice(body, vendor)
    _check_order(body["messages"], vendor)
    if vendor.mistral_models is not None and re.search(vendor.mistral_models, str(body["model"]).lower()):
        _check_mistral_order(body["messages"])
    _check_turns(body, vendor)


def is_thinking(body: Mapping[str, Any], vendor: ChatVendor) -> bool:
    """Return whether the request asks a model of the vendor to think."""
    reasoning = body.get("reasoning")
    switches = (
        (body.get("thinking") or {}).get("type"),
        body.get("enable_thinking"),
        (body.get("chat_template_kwargs") or {}).get("enable_thinking"),
        reasoning.get("enabled", True) if isinstance(reasoning, dict) else None,
        body.get("reasoning_effort"),
    )
    for switch in switches:
        if switch is not None:
            return switch not in (False, "disabled", "none")
    return vendor.thinks


class _VendorVocabulary(OpenAIVocabulary):
    """Implement ``Vocabulary`` with a vendor's sentences where they are known, else with OpenAI's."""

    def __init__(self, vendor: ChatVendor) -> None:
        self._vendor = vendor

    def unknown(self, path: Path) -> RequestRefused:
        vendor, steps = self._vendor, [step for step in path if not isinstance(step, Tag)]
        if vendor.turn and len(steps) == 3 and steps[0] == "messages":
            role = next((step for step in path if isinstance(step, Tag)), "")
            return self._refused(vendor.turn.format(at=steps[1], role=role, name=steps[2]), path)
        return self._refused(vendor.unknown.format(path=".".join(map(str, steps))), path)

    def _refused(self, message: str, path: Path) -> RequestRefused:
        loc = ".".join(map(str, path))
        return RequestRefused(message, status=self._vendor.status, param=loc)


@lru_cache(maxsize=64)
def _shape(provider: str) -> Object:
    vendor = vendor_of(provider)
    assert vendor is not None
    others: Shape | None = Anything() if vendor.ignores else None
    fields: dict[str, Shape] = {
        name: shape for name, shape in CHAT_REQUEST.fields.items() if name not in vendor.refuses
    }
    fields |= dict.fromkeys(vendor.takes, Anything())
    if others is not None:
        fields |= dict.fromkeys(vendor.refuses, _REFUSED)
    fields |= {name: Nullable(Number(low, high)) for name, (low, high) in vendor.ranges.items() if name in fields}
    fields["messages"] = Listed(_turns(vendor), least=1)
    fields["response_format"] = RESPONSE_FORMAT
    return Object(fields, CHAT_REQUEST.required, extra=others)


def _turns(vendor: ChatVendor) -> Tagged:
    variants = {}
    for role, turn in MESSAGE.variants.items():
        known = {name: shape for name, shape in turn.fields.items() if vendor.names or name != "name"}
        if role == "assistant":
            known = {name: shape for name, shape in known.items() if not (vendor.bare_turns and name in _BARE)}
            known |= dict.fromkeys(vendor.turn_fields, Anything())
        if role != "developer":
            variants[role] = Object(known, turn.required, extra=Anything() if vendor.ignores else None)
    return Tagged("role", variants)


class _Refused:
    """Refuse a field that a vendor knows and does not take."""

    kinds: tuple[str, ...] = ()

    def check(self, value: Any, path: Path, words: Any) -> None:
        if value is not None:
            raise words.unknown(path)


_REFUSED = _Refused()
# Keywords whose members are named by the client.
_NAMED = ("properties", "patternProperties", "$defs", "definitions")


def _check_model(body: dict[str, Any], vendor: ChatVendor) -> None:
    for pattern, names in vendor.models.items():
        if re.search(pattern, str(body["model"])):
            for name in names:
                if body.get(name) is not None:
                    raise _VendorVocabulary(vendor).unknown((name,))


def _check_output(body: dict[str, Any], vendor: ChatVendor) -> None:
    if vendor.schemas and (body.get("response_format") or {}).get("type") == "json_schema":
        raise RequestRefused(vendor.schemas, status=vendor.status)
    _check_schema(((body.get("response_format") or {}).get("json_schema") or {}).get("schema"), vendor)
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > vendor.stops:
        raise RequestRefused(f"stop: at most {vendor.stops} are allowed", status=vendor.status)


def _check_schema(schema: Any, vendor: ChatVendor) -> None:
    """Refuse keywords of a schema; a member of ``properties`` may be named as a keyword is."""
    if isinstance(schema, list):
        for one in schema:
            _check_schema(one, vendor)
    if not isinstance(schema, dict):
        return
    if vendor.closed_schemas and schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise RequestRefused(vendor.closed_schemas, status=422)
    for name, value in schema.items():
        if name in vendor.schema_keywords or (name == "type" and isinstance(value, list) and not vendor.type_lists):
            what = f"a list of types {value}" if name == "type" else name
            raise RequestRefused(vendor.schema_words.format(what=what), status=vendor.status)
        if name not in ("enum", "const", "default", "examples"):
            _check_schema(list(value.values()) if name in _NAMED and isinstance(value, dict) else value, vendor)


def _check_choice(body: dict[str, Any], vendor: ChatVendor) -> None:
    for at, tool in enumerate(body.get("tools") or () if vendor.tool_parameters else ()):
        if "parameters" not in (tool.get("function") or {"parameters": {}}):
            raise RequestRefused("Field required", status=vendor.status, param=f"tools.{at}.function.parameters")
    choice = body.get("tool_choice")
    mode = "tool" if isinstance(choice, dict) else choice
    if mode is not None and vendor.tool_choices and mode not in vendor.tool_choices:
        raise RequestRefused(f"Invalid tool_choice: {choice}", status=vendor.status)
    if vendor.forced_thinking and mode in ("tool", "required") and is_thinking(body, vendor):
        raise RequestRefused(vendor.forced_thinking, status=vendor.status)


def _check_order(messages: Sequence[dict[str, Any]], vendor: ChatVendor) -> None:
    roles = [message["role"] for message in messages]
    if vendor.one_system and "system" in roles[1:]:
        raise RequestRefused(vendor.one_system, status=vendor.status)
    if vendor.alternating:
        turns = roles[next((at for at, role in enumerate(roles) if role != "system"), len(roles)) :]
        if any(role != ("user", "assistant")[at % 2] for at, role in enumerate(turns)):
            raise RequestRefused(vendor.alternating, status=vendor.status)
        if not turns or turns[-1] != "user":
            raise RequestRefused("Last message must have role `user`.", status=vendor.status)


# The roles that may follow a role. Source: mistral-common, protocol/instruct/validator.py, _validate_message_order.
_FOLLOWING = {
    "system": ("user", "assistant", "system"),
    "user": ("assistant", "system", "user"),
    "assistant": ("assistant", "user", "tool"),
    "tool": ("assistant", "tool"),
}


def _check_mistral_order(messages: Sequence[dict[str, Any]]) -> None:
    """Refuse orders of turns as mistral-common does; Mistral's code for it is 3230, invalid_request_message_order."""
    for before, message in itertools.pairwise(messages):
        if message["role"] not in _FOLLOWING[before["role"]]:
            raise RequestRefused(f"Unexpected role '{message['role']}' after role '{before['role']}'")
    last = messages[-1]
    if last["role"] not in ("user", "tool") and not (last["role"] == "assistant" and last.get("prefix") is True):
        expected = "Expected last role User or Tool (or Assistant with prefix True) for serving"
        raise RequestRefused(f"{expected} but got {last['role']}")


def _check_turns(body: dict[str, Any], vendor: ChatVendor) -> None:
    thinks = is_thinking(body, vendor)
    is_plain = vendor.plain_models is not None and re.search(vendor.plain_models, str(body["model"]))
    for at, message in enumerate(body["messages"]):
        calls, reasoning = message.get("tool_calls") or (), message.get("reasoning_content")
        has_reasoning = isinstance(reasoning, str) and bool(reasoning or vendor.blank_reasoning)
        if vendor.needs_reasoning and thinks and calls and not has_reasoning:
            raise RequestRefused(vendor.needs_reasoning.format(at=at), status=vendor.status)
        if is_plain and "reasoning" in message:
            raise RequestRefused(f"messages[{at}].reasoning: reasoning is not supported with this model")
        for call_id in (
            *(call["id"] for call in calls),
            *([message["tool_call_id"]] if "tool_call_id" in message else []),
        ):
            if vendor.ids and not re.search(vendor.ids, call_id):
                raise RequestRefused(vendor.id_words.format(id=call_id))
        content = message.get("content")
        if vendor.null_content and content is None:
            raise RequestRefused(vendor.null_content, status=vendor.status)
        if vendor.text_parts and isinstance(content, list) and all(part["type"] == "text" for part in content):
            raise RequestRefused(vendor.text_parts.format(at=at), status=422)
        for part in content if vendor.inline_images and isinstance(content, list) else ():
            if part["type"] == "image_url" and not part["image_url"]["url"].startswith("data:"):
                raise RequestRefused(vendor.inline_images.format(url=part["image_url"]["url"]), status=vendor.status)
