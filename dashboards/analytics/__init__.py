"""Serve analytics of the marts and of the lake as JSON, CSV and Parquet, in a process of its own."""
