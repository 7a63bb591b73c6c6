"""Learn, evaluate and serve models: provider selection and prompt categories."""
