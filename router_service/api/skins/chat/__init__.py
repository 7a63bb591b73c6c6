"""Speak the chat completions API, whose contract is the reference's."""
