"""Translate to and from OpenAI's Responses format."""
