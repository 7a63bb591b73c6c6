"""Translate the OpenAI chat completions format, which most providers use, on parts and events."""
