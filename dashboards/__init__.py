"""Shows: Streamlit over published marts."""
