"""Keep controls at defaults that depend on the data, so that a page shows what its address says."""

from __future__ import annotations

import streamlit as st


def follow_default(key: str, default: object) -> None:
    """Let a control that still has the default of other data, or of another range, take the ``default`` of these.

    The address names no default. Without this a page would go on showing a value that a copy of its address does not.
    """
    state, followed = st.session_state, f"{key}-default"
    if key in state and state[key] == state.get(followed) and state[key] != default:
        state[key] = default
    state[followed] = default
