"""Detect the natural language of a prompt's prose and the programming language that it is about."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from models.categories.features import cut
from models.categories.taxonomy import NATURAL_LANGUAGES, programming_signs

__all__ = ["NaturalLanguage", "holds_code", "natural_language", "programming_language", "prose"]

FENCE = re.compile(r"```([\w+#.-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
INLINE = re.compile(r"`[^`\n]+`|https?://\S+|[\w.+-]+@[\w.-]+|[<{\[][^<>{}\[\]\n]*[>}\]]")
LETTER = re.compile(r"[^\W\d_]")
KANA = re.compile(r"[\u3040-\u30ff]")
HANGUL = re.compile(r"[\uac00-\ud7af]")
HAN = re.compile(r"[\u4e00-\u9fff]")
# The language of so many characters of prose is certain.
DETECTED = 800
# A longer line is data.
LONGEST_LINE = 200
# Signs of code of one language on this many lines are code; one line may be prose that happens to match.
LINES_OF_CODE = 2
# Share of lines with marks of code, such as a final semicolon, from which a text without other signs is code.
MARKED_SHARE = 0.6
CODE_OF_ANY = re.compile(
    r"[;{}]\s*$|^#!/|^\s*(//|/\*|\*/|@\w+|return\b|else\b|if \(|#include|import )|\w+\(.*\)[;:{]?\s*$"
)


class NaturalLanguage(NamedTuple):
    """Hold an ISO 639-1 code and its probability, in [0, 1]."""

    code: str
    confidence: float


class _Language(NamedTuple):
    name: str
    code: list[re.Pattern[str]]
    fences: frozenset[str]


def natural_language(text: str) -> NaturalLanguage | None:
    """Return the language of the prose of the ``cut`` text, ``None`` without letters in it."""
    found = prose(cut(text))[:DETECTED]
    letters = len(LETTER.findall(found))
    if not letters:
        return None
    # A few letters of these scripts decide, where the detector needs a sentence.
    for code, script in (("ja", KANA), ("ko", HANGUL), ("zh", HAN)):
        if len(script.findall(found)) * (8 if code == "ja" else 3) > letters:
            return NaturalLanguage(code, 1.0)
    code, confidence = _identifier().classify(found)
    return NaturalLanguage(str(code), round(float(confidence), 4))


def prose(text: str) -> str:
    """Return a text without code blocks, code in a line, addresses and tags; the text itself if nothing is left."""
    left = INLINE.sub(" ", FENCE.sub(" ", text))
    lines = [line for line in left.splitlines() if not CODE_OF_ANY.search(line)]
    return "\n".join(lines) if LETTER.search("\n".join(lines)) else text


def programming_language(text: str) -> str | None:
    """Return the language of the code in the ``cut`` text, else the first that it names; ``None`` without either."""
    found = cut(text)
    for fence in FENCE.finditer(found):
        for language in _languages():
            if fence[1].lower() in language.fences:
                return language.name
    lines = [line[:LONGEST_LINE] for line in found.splitlines()]
    scores = {one.name: sum(any(sign.search(line) for sign in one.code) for line in lines) for one in _languages()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= LINES_OF_CODE:
        return best
    pattern, languages = _names()
    if named := pattern.search(found.lower()):
        return languages[named[0]]
    return best if scores[best] and len(lines) <= LINES_OF_CODE else None


def holds_code(text: str) -> bool:
    """Return whether the ``cut`` text holds source code, not only speaks of it."""
    found = cut(text)
    if FENCE.search(found):
        return True
    lines = [line[:LONGEST_LINE] for line in found.splitlines() if line.strip()]
    signs = sum(any(sign.search(line) for one in _languages() for sign in one.code) for line in lines)
    marks = sum(bool(CODE_OF_ANY.search(line)) for line in lines)
    if signs >= 1 and signs + marks >= LINES_OF_CODE:
        return True
    return marks >= LINES_OF_CODE and marks >= MARKED_SHARE * len(lines)


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in NATURAL_LANGUAGES if code in set(identifier.labels)])
    return identifier


@cache
def _languages() -> list[_Language]:
    return [
        _Language(name, [re.compile(pattern) for pattern in signs["code"]], frozenset(signs["fences"]))
        for name, signs in programming_signs().items()
    ]


@cache
def _names() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return one pattern for all names, longer ones first, and the language of each name."""
    languages = {name: language for language, signs in programming_signs().items() for name in signs["names"]}
    either = "|".join(map(re.escape, sorted(languages, key=len, reverse=True)))
    return re.compile(rf"(?<![\w.+#-])(?:{either})(?![\w+#])"), languages
