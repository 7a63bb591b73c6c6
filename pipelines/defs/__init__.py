"""Dagster definitions, one module for each concept."""
