"""Send one prompt to two to four models through the router, and show their answers, times, tokens and cost."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st

from dashboards.plain_text import plain
from dashboards.router_client import (
    FEWEST_MODELS,
    LONGEST_S,
    MOST_CHARACTERS,
    MOST_MODELS,
    MOST_TOKENS,
    ONE_AT_A_TIME,
    Answer,
    NoRouter,
    ask_models,
    list_models,
    refusal,
    router_url,
)

EXAMPLE = "Explain in three sentences how a portolan chart helped a pilot to find a harbour."
EVERY_S = 60


@st.cache_data(ttl=EVERY_S, show_spinner=False)
def offered(url: str) -> list[str]:
    """Return the models of the router, asked once a minute."""
    return list_models(url)


def seconds(value: float | None) -> str:
    """Return a time for people, a dash if it is not known yet."""
    return "–" if value is None else f"{value:.2f} s"


def draw(slots: Sequence[Any], answers: Sequence[Answer]) -> None:
    """Show each answer, or what has come of it, in its place."""
    for slot, answer in zip(slots, answers, strict=True):
        tokens = "–" if answer.completion_tokens is None else f"{answer.prompt_tokens:,} + {answer.completion_tokens:,}"
        with slot.container():
            with st.container(horizontal=True):
                for label, value, said in (
                    ("First token", seconds(answer.ttft_s), "From the request to the first token, reasoning included"),
                    ("Total", seconds(answer.total_s), "From the request to the end of the stream"),
                    ("Tokens", tokens, "Prompt + completion, as the provider counted them"),
                    (
                        "Cost",
                        f"${answer.exact_usd()}" if answer.cost_usd is not None else "–",
                        "What the router charged, exactly",
                    ),
                ):
                    st.metric(label, value, help=said)
            if answer.error is not None:
                st.error(plain(answer.error))
            served = "" if answer.provider is None else f"Served by {answer.provider}. "
            why = ""
            if answer.total_s is not None and answer.generation_id is not None:
                why = f"[Why it went there](requests?id={answer.generation_id}&data=live)"
            st.caption(f"{served}{why}" or "Asked, nothing has come yet.")
            if answer.text:
                # Without Markdown: an answer could make the browser fetch pictures from anywhere.
                with st.container(height=320):
                    st.text(answer.text)


def rows_of(answers: Sequence[Answer]) -> pl.DataFrame:
    """Return a row for each answer, for the table and its CSV."""
    kinds: dict[str, Any] = {
        "model": pl.String, "provider": pl.String, "ttft_s": pl.Float64, "total_s": pl.Float64,
        "prompt_tokens": pl.Int64, "completion_tokens": pl.Int64, "cost_usd": pl.String, "finish_reason": pl.String,
        "error": pl.String, "generation_id": pl.String,
    }  # fmt: skip
    made = [{name: getattr(one, name) for name in kinds} | {"cost_usd": one.exact_usd()} for one in answers]
    return pl.DataFrame(made, schema=kinds)


st.title("Compare")
url, given = router_url(), os.environ.get("PORTOLAN_API_KEY", "")
try:
    known = offered(url)
except NoRouter as no_router:
    st.info(
        f"{no_router} Start one with `portolan up` or `portolan serve`, or set `PORTOLAN_ROUTER_URL` for the "
        "dashboards if it runs elsewhere; then reload this page."
    )
    st.stop()
models = st.multiselect(
    "Models", known, default=known[:FEWEST_MODELS], key="models", bind="query-params", max_selections=MOST_MODELS,
    accept_new_options=True, placeholder=f"{FEWEST_MODELS} to {MOST_MODELS} models",
    help="The most used of the last week come first. Others can be written, such as a model with :nitro.",
)  # fmt: skip
prompt = st.text_area("Prompt", EXAMPLE, max_chars=MOST_CHARACTERS, key="prompt", persist_state="session") or ""
with st.container(horizontal=True, vertical_alignment="bottom"):
    wanted = st.number_input("Most tokens of an answer", 1, MOST_TOKENS, 300, key="most-tokens", bind="query-params",
                             width=220)  # fmt: skip
    most_tokens = int(wanted)
    key = st.text_input(
        "API key", type="password", key="router-key", persist_state="session", width=320,
        placeholder="that of the dashboards" if given else "sk-or-v1-…",
        help="Sent to the router alone, and kept in this session only: not in the address, nor in a log.",
    )  # fmt: skip
    asked = st.button("Compare", type="primary", icon=":material/play_arrow:")
wrong = refusal(models, prompt, most_tokens)
if wrong is None and not (key or given):
    wrong = "Write an API key of the router; `portolan keys create --name compare` makes one."
st.caption(
    f"Sent through the router at `{url}`, to all models at once, for {LONGEST_S} s at most. The address keeps the "
    "models, not the prompt. A change on this page ends a run."
)
if asked and wrong is not None:
    st.warning(wrong)
asking = asked and wrong is None and ONE_AT_A_TIME.acquire(blocking=False)
if asked and wrong is None and not asking:
    st.warning("Another comparison is running. Wait for its end, and compare again.")
compared: list[Answer] = st.session_state.get("compared", []) if not asking else [Answer(model) for model in models]
slots = []
for column, answer in zip(st.columns(len(compared) or 1), compared, strict=False):
    with column, st.container(border=True):
        st.markdown(f"**{plain(answer.model)}**")
        slots.append(st.empty())
if asking:
    try:
        st.session_state["compared"] = []
        compared = asyncio.run(
            ask_models(url, key or given, models, prompt, most_tokens, lambda answers: draw(slots, answers))
        )
        st.session_state["compared"] = compared
    finally:
        ONE_AT_A_TIME.release()
draw(slots, compared)
if compared:
    table = rows_of(compared)
    figures: dict[str, Any] = {
        "model": "Model", "provider": "Provider",
        "ttft_s": st.column_config.NumberColumn("First token, s", format="%.3f"),
        "total_s": st.column_config.NumberColumn("Total, s", format="%.3f"),
        "prompt_tokens": "Prompt tokens", "completion_tokens": "Completion tokens", "cost_usd": "USD, exact",
        "finish_reason": "Ended with", "error": "Error", "generation_id": "Id",
    }  # fmt: skip
    st.dataframe(table, hide_index=True, placeholder="–", column_config=figures, alt="Answers side by side")
    st.download_button("CSV", table.write_csv(), "compare.csv", "text/csv", icon=":material/download:")
    st.caption(
        "One answer each says little about speed: times of a model over many requests are on the page Model. Each "
        "answer is a request of the log, and is charged as any other."
    )
