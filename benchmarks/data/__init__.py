"""Measure the lake and the marts on generated rows, and write ``docs/data-speed.md``."""
