"""Serve the reference's API for ranking documents."""
