"""Use chat completions with Instructor: the argument names what to do, and the result is JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import instructor
import openai
from pydantic import BaseModel

MODEL = os.environ["PORTOLAN_MODEL"]
MODE = instructor.Mode[sys.argv[2]]
CLIENT = instructor.from_openai(
    openai.OpenAI(base_url=f"{os.environ['PORTOLAN_URL']}/api/v1", api_key=os.environ["PORTOLAN_KEY"], max_retries=0),
    mode=MODE,
)
MESSAGES: Any = [{"role": "user", "content": os.environ["PROMPT"]}]


class Harbour(BaseModel):
    """A harbour."""

    place: str
    depth: int


class Fleet(BaseModel):
    """A harbour and its ships."""

    home: Harbour
    ships: list[str]


def model() -> Any:
    return CLIENT.create(model=MODEL, messages=MESSAGES, response_model=Fleet, max_retries=0).model_dump()


def partial() -> Any:
    """Return the number of the partial objects and the last one."""
    found = list(CLIENT.create_partial(model=MODEL, messages=MESSAGES, response_model=Fleet, max_retries=0))
    return [len(found), found[-1].model_dump()]


def items() -> Any:
    return [one.model_dump() for one in CLIENT.create_iterable(model=MODEL, messages=MESSAGES, response_model=Harbour)]


def whole_list() -> Any:
    found = CLIENT.create(model=MODEL, messages=MESSAGES, response_model=list[Harbour], max_retries=0)
    return [one.model_dump() for one in found]


def completion() -> Any:
    """Return an object and the usage that came with it."""
    found, raw = CLIENT.create_with_completion(model=MODEL, messages=MESSAGES, response_model=Harbour, max_retries=0)
    return [found.model_dump(), raw.usage.model_dump()]


CASES = {one.__name__: one for one in (model, partial, items, whole_list, completion)}
print(json.dumps(CASES[sys.argv[1]]()))
