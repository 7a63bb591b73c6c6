"""Questions to a mart, a module a page: from a DuckDB connection to a polars frame. No Streamlit here."""
