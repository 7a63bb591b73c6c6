"""Make strict JSON of text that a model was only asked to write as JSON, piece by piece.

Text before and after the first JSON value is left out, as a code fence is. Within it trailing commas are left out;
names without quotes, single quotes, line breaks within strings and Python's literals are rewritten; brackets and
strings that are open at the end of a complete answer are closed. The same pieces in any cut give the same text.
"""

from __future__ import annotations

import re

_CLOSERS = {"{": "}", "[": "]"}
_LITERALS = {"True": "true", "False": "false", "None": "null", "NaN": "null", "Infinity": "null", "undefined": "null"}
_ESCAPES = frozenset('"\\/bfnrtu')
# A member's name without quotes, which Python and JavaScript write.
_NAME = re.compile(r"\w+\s*:")
_WHITE = frozenset(" \t\r\n")
# A model that writes this much without any JSON value has not understood; its words are passed on.
_MAX_PROSE = 20_000


class JsonText:
    """Rewrite the text of one choice."""

    __slots__ = ("_comma", "_escaped", "_last", "_open", "_prose", "_quote", "_started", "_word", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._started = False
        self._prose = ""
        self._open: list[str] = []
        self._quote = ""
        self._escaped = False
        self._comma = False
        self._word = ""
        self._last = ""

    def feed(self, text: str) -> str:
        """Return what ``text`` adds."""
        if not self._started:
            text = self._start(text)
        return "".join([self._take(character) for character in text])

    def end(self, *, is_complete: bool) -> str:
        """Return the rest; what is open is closed only if the answer ``is_complete``, not where it was cut off."""
        if not self._started or self.is_over or not is_complete:
            rest, self._prose = self._prose + self._word, ""
            self._word = ""
            return rest
        rest = ""
        if self._quote:
            self._quote = ""
            rest = self._emit("\\" if self._escaped else "") + self._emit('"')
        rest += self._end_word()
        if self._last == ":":
            rest += self._emit("null")
        self.is_over = True
        return rest + "".join(_CLOSERS[bracket] for bracket in reversed(self._open))

    def _start(self, text: str) -> str:
        """Return the text from the beginning of the value on, and keep what may stand before it."""
        self._prose += text
        place = self._beginning()
        if place is None:
            if len(self._prose) <= _MAX_PROSE:
                return ""
            self.is_over = self._started = True
            place, self._last = 0, "passed"
        self._started = True
        text, self._prose = self._prose[place:], ""
        return text

    def _beginning(self) -> int | None:
        """Return where the value begins: an object with a member, or a list with nothing before it but a fence."""
        text = self._prose
        lead = text.lstrip()
        if lead.startswith("```"):
            lead = lead.partition("\n")[2].lstrip() if "\n" in lead else ""
        if lead.startswith("["):
            return text.index("[")
        place = text.find("{")
        while place >= 0:
            rest = text[place + 1 :].lstrip()
            if not rest or rest.isidentifier():
                # More has to come before it can be told from a brace in the words.
                return None
            if rest[0] in "\"'}" or _NAME.match(rest):
                return place
            place = text.find("{", place + 1)
        return None

    def _take(self, character: str) -> str:
        if self.is_over:
            return character if self._last == "passed" else ""
        if self._quote:
            return self._within_string(character)
        if character in _WHITE:
            # White space is kept within a value, and left out where a comma may be the last.
            return self._end_word() + ("" if self._comma else character)
        if character == ",":
            found = self._end_word()
            found += self._emit("null") if self._last == ":" else ""
            self._comma = True
            return found
        if character in "}]":
            return self._close(character)
        if character == ":":
            word, self._word = self._word, ""
            return (self._emit(f'"{word}"') if word else "") + self._emit(":")
        if character in "\"'":
            self._quote = character
            return self._end_word() + self._emit('"')
        if character in _CLOSERS:
            found = self._end_word() + self._emit(character)
            self._open.append(character)
            return found
        self._word += character
        return ""

    def _within_string(self, character: str) -> str:
        if self._escaped:
            self._escaped = False
            if character in _ESCAPES:
                return f"\\{character}"
            return character if character == "'" else f"\\\\{character}"
        if character == "\\":
            self._escaped = True
            return ""
        if character == self._quote:
            self._quote = ""
            return self._emit('"')
        if character == '"':
            return '\\"'
        if character < " ":
            return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\u{ord(character):04x}")
        return character

    def _close(self, bracket: str) -> str:
        """Close the innermost bracket of the kind, and those within it that were left open."""
        found = self._end_word()
        if self._last == ":":
            found += self._emit("null")
        self._comma = False
        opening = "{" if bracket == "}" else "["
        if opening not in self._open:
            return found
        while self._open:
            last = self._open.pop()
            found += _CLOSERS[last]
            if last == opening:
                break
        self._last = bracket
        self.is_over = not self._open
        return found

    def _end_word(self) -> str:
        word, self._word = self._word, ""
        return self._emit(_LITERALS.get(word, word)) if word else ""

    def _emit(self, text: str) -> str:
        """Return ``text`` after the comma that was held back for it."""
        if not text:
            return ""
        comma, self._comma = "," if self._comma and self._last not in ("", "{", "[", ",", ":") else "", False
        self._last = text[-1]
        return comma + text
