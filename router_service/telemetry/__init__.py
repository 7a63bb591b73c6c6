"""Store telemetry: request records, log segments, their conversion to Parquet, and metrics."""
