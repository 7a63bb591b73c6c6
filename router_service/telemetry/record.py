"""Convert an exchange that has ended to its row of the request log."""

from __future__ import annotations

from data.record.record import Record
from router_service.accounting.cost import hedge_loser_cost
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision, Plan
from router_service.telemetry.request_columns import MAX_ID_CHARACTERS, describe_request


def make_record(exchange: Exchange, worker: str) -> Record:
    """Return the row of the log for an exchange that has ended."""
    duration_us = exchange.elapsed_us()
    head, usage, cost, decision = exchange.head, exchange.usage, exchange.cost, exchange.decision
    model = exchange.model or (decision.plan.model if decision else None)
    # Assignments: a struct of this many fields takes twice as long to make from keyword arguments.
    record = Record(
        exchange.id,
        int(exchange.started_at * 1e6),
        worker,
        (exchange.client_model or head.model or "")[:MAX_ID_CHARACTERS] if head else "",
        bool(head and head.stream),
        exchange.status,
        duration_us,
    )
    record.skin = exchange.skin
    record.key_hash = exchange.key_hash
    record.client_region = exchange.client_region
    record.country = exchange.country
    record.held_tokens = exchange.expected_cached_tokens
    record.body_bytes = exchange.body_bytes
    record.estimated_prompt_tokens = record.body_bytes // 4
    record.attempts = exchange.attempts
    record.model = model
    record.author = model.split("/", 1)[0] if model else None
    record.endpoint = exchange.endpoint
    record.provider = exchange.provider
    record.wire_format = exchange.wire_format
    record.upstream_id = exchange.upstream_id and exchange.upstream_id[:MAX_ID_CHARACTERS]
    record.service_tier = exchange.service_tier and exchange.service_tier[:MAX_ID_CHARACTERS]
    record.error_type = exchange.error_type
    record.finish_reason = exchange.finish_reason
    record.native_finish_reason = exchange.native_finish_reason and exchange.native_finish_reason[:MAX_ID_CHARACTERS]
    record.cancelled = exchange.cancelled
    record.ended_by_client = exchange.ended_by_client
    record.middleware = exchange.middleware
    if exchange.dropped_parameters is not None:
        record.dropped_parameters = list(exchange.dropped_parameters)
    record.output_bytes = exchange.output_bytes
    if exchange.first_byte is not None:
        record.ttft_us = int((exchange.first_byte - exchange.arrival_s) * 1e6)
    record.overhead_us = max(0, duration_us - int(exchange.upstream_s * 1e6))
    describe_request(record, exchange.headers, head)
    if exchange.tool_call_verdict:
        record.tool_calls, record.tool_call_fault = exchange.tool_call_verdict
    label = _label(exchange)
    if label:
        record.category, record.category_confidence = label
    if decision:
        describe_decision(record, decision)
    elif exchange.rejected_plan:
        _describe_plan(record, exchange.rejected_plan)
    if usage:
        record.prompt_tokens = usage.prompt_tokens
        record.completion_tokens = usage.completion_tokens
        record.cached_tokens = usage.cached_tokens
        record.cache_write_tokens = usage.cache_write_tokens
        record.reasoning_tokens = usage.reasoning_tokens
    if cost:
        record.charges = cost.charges
        record.cost_nano = cost.total
        record.cost_prompt_nano = cost.prompt
        record.cost_cached_nano = cost.cached
        record.cost_completion_nano = cost.completion
    if exchange.hedge_loser:
        record.hedge_cost_nano = hedge_loser_cost(exchange.hedge_loser, usage, record.estimated_prompt_tokens)
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


def _label(exchange: Exchange) -> tuple[str, float] | None:
    labelling = exchange.labelling
    done = labelling is not None and labelling.done() and not labelling.cancelled()
    return labelling.result() if labelling and done else None
