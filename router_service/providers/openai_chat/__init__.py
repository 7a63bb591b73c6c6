"""Translate the OpenAI chat completions format, which most providers use."""
