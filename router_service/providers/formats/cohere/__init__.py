"""Translate to and from version 2 of Cohere's API."""
