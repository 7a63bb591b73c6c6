"""Explain a request from its record alone: a summary, the draw looked up again, and the words of exclusions."""
