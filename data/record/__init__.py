"""Declare the request record once: struct, Arrow schema, encoder, documentation and reader derive from it."""
