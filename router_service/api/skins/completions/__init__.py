"""Serve the legacy completions API: a prompt becomes the message of a user, and the answer its text."""
