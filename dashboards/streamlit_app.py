"""Configure Streamlit and its navigation; every page is a file of its own."""

import streamlit as st

# A compass. Icons of Streamlit's own would be fetched from a server of Google by each reader's browser.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="11" fill="#1f4e79"/>'
    '<path d="M17 7 14 14 7 17 10 10Z" fill="#fdfaf3"/><circle cx="12" cy="12" r="1.2" fill="#1f4e79"/></svg>'
)
st.set_page_config(page_title="Portolan", page_icon=ICON, layout="wide")

st.navigation(
    [
        st.Page("app_pages/market.py", title="Market", icon=":material/stacked_bar_chart:", default=True),
        st.Page("app_pages/rankings.py", title="Rankings", icon=":material/leaderboard:"),
        st.Page("app_pages/categories.py", title="Categories", icon=":material/category:"),
        st.Page("app_pages/model.py", title="Model", icon=":material/neurology:"),
        st.Page("app_pages/providers.py", title="Providers", icon=":material/dns:"),
        st.Page("app_pages/routing.py", title="Routing", icon=":material/alt_route:"),
        st.Page("app_pages/cost.py", title="Cost", icon=":material/payments:"),
        st.Page("app_pages/errors.py", title="Errors", icon=":material/error:"),
        st.Page("app_pages/operations.py", title="Operations", icon=":material/monitor_heart:"),
        # Its file is not named requests.py, since Streamlit puts the folder of a script first in the path of imports.
        st.Page("app_pages/single_requests.py", title="Requests", icon=":material/receipt_long:", url_path="requests"),
        st.Page("app_pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
    ],
    position="top",
).run()
