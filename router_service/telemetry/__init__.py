"""What is remembered: records, segments, sealing, metrics."""
