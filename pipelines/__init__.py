"""Dagster pipelines: build published marts and learned policies from the request log."""
