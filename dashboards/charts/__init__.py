"""Draw charts from data frames, without Streamlit: one module for each shape."""
