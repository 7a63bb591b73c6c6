"""Compute the cost of a request."""
