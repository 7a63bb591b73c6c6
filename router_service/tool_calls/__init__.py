"""Tool calls of an answer: put together, and judged by the schemas that the client offered."""
