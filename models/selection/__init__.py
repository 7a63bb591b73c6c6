"""Select providers: decision, data set, training, evaluation, simulation and lifecycle."""
