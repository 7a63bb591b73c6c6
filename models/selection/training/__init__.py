"""Learn priors and predictors from samples, and export them as an artifact."""
