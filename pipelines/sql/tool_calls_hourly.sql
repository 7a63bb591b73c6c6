-- Validity of tool calls and of structured outputs by hour, model and provider.
SELECT
    date_trunc('hour', started_at) AS hour,
    model,
    provider,
    CAST(count(*) FILTER (WHERE tool_calls IS NOT NULL) AS BIGINT) AS tool_call_responses,
    CAST(count(*) FILTER (WHERE tool_calls IS NOT NULL AND tool_call_fault IS NOT NULL) AS BIGINT) AS tool_call_faults,
    CAST(count(*) FILTER (WHERE structured_output_valid IS NOT NULL) AS BIGINT) AS structured_outputs,
    CAST(count(*) FILTER (WHERE structured_output_valid) AS BIGINT) AS structured_outputs_valid
FROM requests
WHERE tool_calls IS NOT NULL OR structured_output_valid IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
