"""Tests of the chat completions API."""
