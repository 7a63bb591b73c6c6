"""Serve the OpenAI responses API to clients: any model, through any wire format."""
