"""Who may say what of a request's route, joined: the installation, the host that it came by, its key."""

from __future__ import annotations

from router_service.admission.hosts import Host
from router_service.admission.policy import NO_POLICY, KeyPolicy
from router_service.core.preferences import Preferences
from router_service.planning.constraints import Demand, Demands

MOST_REMEMBERED = 4096


class Authority:
    """One ``Demands`` for each combination, so that what was parsed under it is found again."""

    def __init__(self, installation: Preferences) -> None:
        self._own = Demand("This installation", installation)
        self.installation = Demands(self._own)
        self._known: dict[tuple[KeyPolicy, Host | None], Demands] = {}

    def demands(self, policy: KeyPolicy, host: Host | None) -> Demands:
        """Those that hold for a request of a key with ``policy``, by ``host`` if that is a regional one."""
        if host is None and policy is NO_POLICY:
            return self.installation
        found = self._known.get((policy, host))
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            demands = [self._own]
            if host is not None:
                demands.append(Demand(f"The host {host.name}", Preferences(region=host.region)))
            demands.append(Demand("This key", policy.preferences))
            found = self._known[policy, host] = Demands(*demands, strategy=policy.preferences.strategy)
        return found
