"""Simulate providers, in their wire formats, and realistic traffic on the loopback interface."""
