"""Dashboards: Streamlit pages over published marts."""
