"""Tests of the client-facing APIs."""
