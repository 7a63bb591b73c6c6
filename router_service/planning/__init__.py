"""Decide which endpoints may serve a request, in which order, and why the others may not."""
