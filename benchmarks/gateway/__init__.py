"""What Portolan adds to a request: its rate and latency against the upstream alone and against the shortest path."""
