"""Hold the wire formats, one folder each."""
