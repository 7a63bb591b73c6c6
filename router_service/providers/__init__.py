"""Translate to and from the wire formats of providers: one folder for each format, with the same file names."""
