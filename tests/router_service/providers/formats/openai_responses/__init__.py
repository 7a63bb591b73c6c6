"""Test the Responses format."""
