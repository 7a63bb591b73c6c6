"""Selection policies that serve no one: baselines, bandits and the decision without an artifact."""
