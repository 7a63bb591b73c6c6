"""The OpenAI chat completions format, which most providers speak."""
