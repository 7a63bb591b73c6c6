"""Translate between the APIs that clients use and the canonical requests and events."""
