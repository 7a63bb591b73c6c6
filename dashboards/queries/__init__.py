"""Queries on a mart, one module for each page: from a DuckDB connection to a polars frame, without Streamlit."""
