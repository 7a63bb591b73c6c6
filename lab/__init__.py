"""Imitates: providers on the wire and real traffic, on loopback."""
