"""Admit requests: authenticate the key and determine the constraints that apply."""
