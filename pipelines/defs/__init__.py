"""Dagster definitions, a module a concept."""
