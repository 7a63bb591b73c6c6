"""Classify prompts into the twelve market categories."""
