"""Keep a conversation at the endpoint whose prompt cache holds it."""
