"""Convert an exchange that has ended to its row of the request log."""

from __future__ import annotations

from concurrent.futures import Future

from data.record.prompt_labels import PromptLabels
from data.record.record import Record
from router_service.accounting.cost import hedge_loser_cost
from router_service.core.exchange import Exchange
from router_service.core.outcome import Outcome
from router_service.core.plan import Decision, Plan
from router_service.core.route_trace import RouteTrace
from router_service.telemetry.late_labels import set_labels
from router_service.telemetry.request_columns import MAX_ID_CHARACTERS, describe_request

# The column has 32 bits.
MAX_SEARCHES = 2**31 - 1


def make_record(exchange: Exchange, worker: str, duration_us: int) -> Record:
    """Return the row of the log for an exchange that has ended ``duration_us`` after its arrival."""
    request, caller, route, outcome = exchange.request, exchange.caller, exchange.route, exchange.outcome
    head, usage, cost = request.head, outcome.usage, outcome.cost
    decision = _first_decision(route) if route.earlier_steps else route.step.decision
    model = outcome.model or (decision.plan.model if decision else None)
    # Assignments: a struct of this many fields takes twice as long to make from keyword arguments.
    record = Record(
        request.id,
        int(request.received_at * 1e6),
        worker,
        (head.client_model or head.model or "")[:MAX_ID_CHARACTERS] if head else "",
        bool(head and head.stream),
        outcome.status,
        duration_us,
    )
    record.skin, record.task = request.skin, request.task
    if caller is not None:
        record.key_hash = caller.key_hash
        record.client_region = caller.client_region
        record.country = caller.country
    record.held_tokens = route.expected_cached_tokens
    record.body_bytes = request.body_bytes
    record.estimated_prompt_tokens = record.body_bytes // 4
    record.attempts = route.attempts
    record.model = model
    record.author = model.split("/", 1)[0] if model else None
    record.endpoint = outcome.endpoint
    record.provider = outcome.provider
    record.wire_format = outcome.wire_format
    record.upstream_id = outcome.upstream_id and outcome.upstream_id[:MAX_ID_CHARACTERS]
    record.service_tier = outcome.service_tier and outcome.service_tier[:MAX_ID_CHARACTERS]
    record.error_type = outcome.error_type
    record.finish_reason = outcome.finish_reason
    record.native_finish_reason = outcome.native_finish_reason and outcome.native_finish_reason[:MAX_ID_CHARACTERS]
    record.cancelled = outcome.cancelled
    record.ended_by_client = outcome.ended_by_client
    if outcome.cancellation is not None:
        record.cancellation_policy = outcome.cancellation.policy
        record.received_tokens = outcome.cancellation.received_tokens
        record.cost_estimated = outcome.cancellation.estimated
    record.middleware = outcome.middleware
    if outcome.dropped_parameters is not None:
        record.dropped_parameters = list(outcome.dropped_parameters)
    record.output_bytes = outcome.output_bytes
    if outcome.first_byte is not None:
        record.ttft_us = int((outcome.first_byte - request.arrival_s) * 1e6)
    record.overhead_us = max(0, duration_us - int(route.upstream_s * 1e6))
    describe_request(record, request.headers, head)
    if outcome.tool_call_verdict:
        record.tool_calls, record.tool_call_fault = outcome.tool_call_verdict
    labels = ready_labels(outcome)
    if labels:
        set_labels(record, labels)
    if decision:
        describe_decision(record, decision)
    elif route.rejected_plan:
        _describe_plan(record, route.rejected_plan)
    if usage:
        record.prompt_tokens = usage.prompt_tokens
        record.completion_tokens = usage.completion_tokens
        record.cached_tokens = usage.cached_tokens
        record.cache_write_tokens = usage.all_written_tokens
        record.reasoning_tokens = usage.reasoning_tokens
        if usage.web_searches is not None:
            record.web_searches = min(usage.web_searches, MAX_SEARCHES)
        record.reported_cost_nano = usage.reported_nano
    if cost:
        record.charges = cost.charges
        record.cost_nano = cost.total
        record.cost_prompt_nano = cost.prompt
        record.cost_cached_nano = cost.cached
        record.cost_completion_nano = cost.completion
        record.cost_fees_nano = cost.fees
    if route.hedge_loser:
        record.hedge_cost_nano = hedge_loser_cost(route.hedge_loser, usage, record.estimated_prompt_tokens)
    return record


def describe_decision(record: Record, decision: Decision) -> None:
    """Write the decision, and the plan that it was drawn from, into ``record``."""
    record.policy, record.policy_version = decision.arm.policy, decision.arm.version
    record.draw = decision.draw
    record.propensity = decision.plan.probabilities[decision.first]
    _describe_plan(record, decision.plan)


def _describe_plan(record: Record, plan: Plan) -> None:
    record.catalogue_version, record.health_epoch = plan.catalogue_version, plan.health_epoch
    record.candidates, record.arms = plan.candidates, plan.logged_arms
    regions = plan.preferences.regions
    if regions is not None:
        record.data_region = "+".join(regions)


def _first_decision(route: RouteTrace) -> Decision | None:
    """Return the first decision: a step has none if nothing was eligible for it."""
    steps = (*route.earlier_steps, route.step)
    return next((step.decision for step in steps if step.decision is not None), None)


def ready_labels(outcome: Outcome) -> PromptLabels | None:
    """Return the labels that are ready: those of the model, if one was asked, else those of the classifier."""
    labelling = outcome.labelling
    if labelling is None:
        return None
    asked, labels = _finished(labelling.asked), _finished(labelling.classified)
    if asked is None and labels is not None and labelling.asked is not None:
        return labels._replace(version=f"{labels.version}+late")
    return asked or labels


def _finished(labels: Future[PromptLabels | None] | None) -> PromptLabels | None:
    done = labels is not None and labels.done() and not labels.cancelled() and labels.exception() is None
    return labels.result() if labels and done else None
