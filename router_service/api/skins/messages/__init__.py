"""Serve the Anthropic messages API to clients: any model, through any wire format."""
