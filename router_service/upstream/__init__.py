"""Bytes out and in."""
