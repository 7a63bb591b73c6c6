"""Serve the images API of the reference and of OpenAI."""
