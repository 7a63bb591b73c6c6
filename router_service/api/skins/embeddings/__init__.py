"""Serve the embeddings API of OpenAI and of the reference."""
