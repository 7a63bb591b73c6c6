"""Choose a provider: the decision function that the router serves, and all that it may import."""
