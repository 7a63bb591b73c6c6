"""Measure the overhead of Portolan: request rate and latency against the upstream alone and the shortest path."""
