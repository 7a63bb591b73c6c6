"""The decisions of one request: a plan for each wanted model in turn, or one over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from router_service.core.errors import ApiError
from router_service.core.preferences import Preferences
from router_service.planning.availability import no_endpoints, nothing_listed
from router_service.planning.constraints import Demands
from router_service.planning.eligibility import Ask
from router_service.planning.make_plan import Decision, Plan
from router_service.planning.model_variants import Wanted, read_model
from router_service.planning.planner import Planner

# What a conversation makes of a plan before it is sampled.
Hold = Callable[[Plan], Plan]


def as_planned(plan: Plan) -> Plan:
    """The plan of a request that belongs to no conversation."""
    return plan


def decisions(
    planner: Planner,
    names: list[str],
    preferences: Preferences,
    ask: Ask,
    draw: Callable[[], float],
    demands: Demands | None = None,
    hold: Hold = as_planned,
) -> Iterator[Decision]:
    """A decision for each of ``names``, made when it is its turn; ``draw`` gives numbers in [0, 1).

    ``demands`` are those under which ``preferences`` were read, else the installation's alone. Raises ``ApiError``
    of the last name when none can be served; a name that cannot is passed over while another can. ``hold`` keeps
    a conversation with its endpoint.
    """
    demands = demands or planner.installation
    if preferences.pooled and len(names) > 1:
        yield _pooled(planner, names, preferences, ask, draw, demands, hold)
        return
    last: ApiError | None = None
    served = False
    for name in names:
        try:
            wanted = read_model(name, planner.catalogue)
            decision = _decide(planner, (wanted,), preferences, ask, draw, demands, names, hold)
        except ApiError as error:
            last = error
            continue
        served = True
        yield decision
    if not served and last is not None:
        raise last


def _pooled(
    planner: Planner,
    names: list[str],
    preferences: Preferences,
    ask: Ask,
    draw: Callable[[], float],
    demands: Demands,
    hold: Hold,
) -> Decision:
    pool: list[Wanted] = []
    last: ApiError | None = None
    for name in names:
        try:
            pool.append(read_model(name, planner.catalogue))
        except ApiError as error:
            last = error
    if not pool and last is not None:
        raise last
    return _decide(planner, tuple(pool), preferences, ask, draw, demands, names, hold)


def _decide(
    planner: Planner,
    pool: tuple[Wanted, ...],
    preferences: Preferences,
    ask: Ask,
    draw: Callable[[], float],
    demands: Demands,
    names: list[str],
    hold: Hold,
) -> Decision:
    plan = planner.plan(pool, preferences, ask, demands.strategy)
    if plan.endpoints:
        return hold(plan).sample(draw())
    if plan.excluded:
        raise no_endpoints(plan, ask, demands, names)
    first = pool[0]
    usable = bool(planner.endpoints.get(first.model))
    raise nothing_listed(first.requested, first.model, first.free, usable, planner.catalogue)
