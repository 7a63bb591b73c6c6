"""Refuse variables of the environment that are named as ours and that nothing reads."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

from router_service.configuration.mistakes import ConfigurationError
from router_service.settings import Settings

PREFIX = "PORTOLAN_"
# Variables that other parts read: command line, lab, pipelines, rollout of policies, pages and clients of the router.
OTHERS = frozenset(
    {
        "API_KEY", "CANARY_SHARES", "KEY", "LAB_SPEED", "LAB_STRICT", "LAKE_DAYS", "MODEL", "ROUTER_URL", "RUN_DAYS",
        "SCHEDULES", "TEST_MARK", "UI_HOSTS", "URL",
    }
)  # fmt: skip
# Kubernetes and Docker set these in every container beside a service of this name.
_INJECTED = re.compile(r"PORT(_.*)?|SERVICE_(HOST|PORT)(_.*)?|NAME|ENV_.*|TCP_.*")


def check_variables(names: Iterable[str]) -> None:
    """Raise ``ConfigurationError`` with a line for each variable that is no setting and no other known one."""
    known = {name.upper() for name in Settings.model_fields} | OTHERS
    given = sorted(name for name in names if name.upper().startswith(PREFIX))
    unknown = [name for name in given if not _is_known(name.upper().removeprefix(PREFIX), known)]
    if unknown:
        raise ConfigurationError([f"the variable {name} is unknown. {_suggestion(name, known)}" for name in unknown])


def _is_known(name: str, known: Collection[str]) -> bool:
    return name in known or _INJECTED.fullmatch(name) is not None


def _suggestion(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), known, n=1, cutoff=0.6)
    return f"Did you mean {PREFIX}{close[0]}?" if close else "docs/configuration.md lists all settings"
