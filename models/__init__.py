"""What is learned: features, training, evaluation, the served policy."""
