"""Describe the bodies of the API for its OpenAPI document. The structs decode nothing: they are documentation."""
