"""Translate requests and answers to and from the Anthropic messages format."""
