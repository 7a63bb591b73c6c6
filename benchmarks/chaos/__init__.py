"""Measure what clients notice when providers fail: real router processes, a real lab, injected faults."""
