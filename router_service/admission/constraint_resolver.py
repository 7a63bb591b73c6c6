"""Combine the constraints of deployment, regional host and key."""

from __future__ import annotations

from router_service.admission.hosts import RegionalHost
from router_service.admission.key_rules import NO_RULES, KeyRules
from router_service.core.bounded_cache import BoundedCache
from router_service.core.preferences import Preferences
from router_service.planning.constraints import Constraint, ConstraintSet

MAX_KNOWN = 4096
MAX_KNOWN_BYTES = 8 * 1024 * 1024


class ConstraintResolver:
    """Return the same ``ConstraintSet`` for the same combination, so that results cached under it are reused."""

    def __init__(self, installation: Preferences) -> None:
        self._own = Constraint("This installation", installation)
        self.installation = ConstraintSet(self._own)
        self._known: BoundedCache[tuple[KeyRules, RegionalHost | None], ConstraintSet] = BoundedCache(
            MAX_KNOWN, MAX_KNOWN_BYTES, lambda _key, _value: 1500
        )

    def constraints(self, policy: KeyRules, host: RegionalHost | None) -> ConstraintSet:
        """Return the constraints of a key with rules ``policy`` for a request that came by the regional ``host``."""
        if host is None and policy is NO_RULES:
            return self.installation
        found = self._known.get((policy, host))
        if found is None:
            constraints = [self._own]
            if host is not None:
                constraints.append(Constraint(f"The host {host.name}", Preferences(region=host.region)))
            constraints.append(Constraint("This key", policy.preferences))
            found = ConstraintSet(*constraints, strategy=policy.preferences.strategy)
            self._known.put((policy, host), found)
        return found
