"""Judge the tool calls of a response by the schemas that the client offered."""
