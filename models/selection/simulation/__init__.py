"""Simulate a market of endpoints, calibrated on measurements, around any selection policy."""
