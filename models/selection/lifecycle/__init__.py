"""Train, register, promote, watch and prune policies."""
