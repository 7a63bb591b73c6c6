"""Tests of the analytics API."""
