"""Hash words and character n-grams of a text into counts, by one definition for training and for serving."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from zlib import crc32

__all__ = ["BUCKETS", "SETTINGS", "WORD_BUCKETS", "counts", "cut"]

# Words have the first half of the buckets and n-grams the second, so that each half can have its own weight.
WORD_BUCKETS = 2**14
BUCKETS = 2 * WORD_BUCKETS
HEAD = 2000
TAIL = 500
NGRAM = 4
# A base64 blob is one "word", whose n-grams would outnumber the prompt's.
LONGEST_WORD = 24
TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]+")
# These words tell how a request is phrased, not its subject; they would only separate long prose from short.
STOPPED = """
a about above act after again all also always am an and answer any are as asked at based be because been before
being below between both but by can could create describe did do does doing done each else etc every example explain
few following for from further get give given had has have having he help her here hers him his how i if in into is
it its itself just know let like list make me might more most must my need no nor not now of off on once one only or
other our out over own please provide same shall she should show so some such than that the their them then there
these they this those through to too two under until up use used user using very want was we were what which while
will with within without would write you your yours yourself
"""
STOP_WORDS = frozenset(STOPPED.split())
# Weights fit only the features that they were trained on; the header of the weights repeats these settings.
SETTINGS: dict[str, Any] = {
    "version": 1,
    "hash": "crc32",
    "word_buckets": WORD_BUCKETS,
    "buckets": BUCKETS,
    "head": HEAD,
    "tail": TAIL,
    "ngram": NGRAM,
    "longest_word": LONGEST_WORD,
    "token": TOKEN.pattern,
    "stop_words": crc32(" ".join(sorted(STOP_WORDS)).encode()),
}


def cut(text: str) -> str:
    """Return the first ``HEAD`` and last ``TAIL`` characters, where the request of a long prompt stands."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def counts(text: str) -> Counter[int]:
    """Count the occurrences of each bucket below ``BUCKETS`` in the ``cut`` text; empty for stop words alone."""
    found: Counter[int] = Counter()
    for word, times in Counter(TOKEN.findall(cut(text).lower())).items():
        if word in STOP_WORDS:
            continue
        word = "0" if word.isdecimal() else word[:LONGEST_WORD]
        found[_hash(word)] += times
        padded = f" {word} "
        for start in range(len(padded) - NGRAM + 1):
            found[WORD_BUCKETS + _hash(padded[start : start + NGRAM])] += times
    return found


def _hash(gram: str) -> int:
    # Half a surrogate pair is legal in JSON and must not raise.
    return crc32(gram.encode("utf-8", "surrogatepass")) % WORD_BUCKETS
