"""Turn the request log into decisions and training samples, each with what was known at its time."""
