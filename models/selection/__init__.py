"""Provider selection: features, estimators, the decision function."""
