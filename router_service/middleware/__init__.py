"""Wrap the dispatch of a request: see it before planning, and every event of its answer."""
