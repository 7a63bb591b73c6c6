"""Serve one API in front of every provider of every model."""
