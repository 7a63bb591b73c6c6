"""Translate the Anthropic messages format."""
