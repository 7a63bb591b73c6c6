"""Dagster over the lake: from the log to published marts and policies."""
