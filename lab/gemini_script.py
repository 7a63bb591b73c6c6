"""Write scripts as responses of generateContent and their streams.

Sources: Gemini API reference: GenerateContentResponse, GroundingMetadata, LogprobsResult; Gemini API docs: Thought
signatures: the first call of a response has a signature, and so has the last part of one without calls.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from lab.gemini_history import signed_call
from lab.gemini_models import version_of
from lab.script import (
    TOKENS_OF_HIDDEN_THINKING,
    Called,
    CitedSource,
    Declined,
    Drawn,
    Ending,
    HiddenThought,
    SaidText,
    Script,
    Searched,
    Thought,
)
from lab.signatures import Signatures
from lab.text import WORDS, Completion

REASONS: dict[Ending, str] = {
    "end": "STOP", "length": "MAX_TOKENS", "stop_sequence": "STOP", "tools": "STOP", "refusal": "SAFETY",
    "filtered": "PROHIBITED_CONTENT",
}  # fmt: skip
BLOCKED = {"blockReason": "PROHIBITED_CONTENT"}
RATINGS = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]
Part = dict[str, Any]


class ContentScript:
    """Write one script for one request."""

    def __init__(self, script: Script, completion: Completion, body: dict[str, Any], signatures: Signatures) -> None:
        self._script, self._completion, self._body = script, completion, body
        self._model = str(body["model"])
        self._signatures = signatures
        self._dice = random.Random(completion.number)
        config = body.get("generationConfig") or {}
        self._config = config
        thinking = config.get("thinkingConfig") or {}
        self._shows_thoughts = bool(thinking.get("includeThoughts"))
        self._thinks = version_of(self._model) >= (2, 5) and thinking.get("thinkingBudget") != 0

    def response(self) -> dict[str, Any]:
        """Return the non-streaming response."""
        if self._script.ending == "blocked":
            return self._envelope() | {"promptFeedback": BLOCKED, "usageMetadata": self._usage(False)}
        parts = [part for group in self._groups() for part in _whole(group)]
        candidate = self._candidate(parts) | self._finish()
        if self._config.get("responseLogprobs"):
            candidate["logprobsResult"] = self._logprobs("".join(p["text"] for p in parts if _is_said(p)))
        return self._envelope() | {"candidates": [candidate], "usageMetadata": self._usage(True)}

    def events(self) -> list[bytes]:
        """Return the chunks of the stream; the last one has the reason of the end."""
        if self._script.ending == "blocked":
            return [_event(self.response())]
        chunks = [self._chunk([part]) for group in self._groups() for part in group]
        if not chunks:
            chunks = [self._chunk([])]
        chunks[-1]["candidates"][0] |= self._finish()
        chunks[-1]["usageMetadata"] = self._usage(True)
        return [_event(chunk) for chunk in chunks]

    def _chunk(self, parts: list[Part]) -> dict[str, Any]:
        candidate = self._candidate(parts)
        if self._config.get("responseLogprobs") and any(map(_is_said, parts)):
            candidate["logprobsResult"] = self._logprobs("".join(part["text"] for part in parts))
        return self._envelope() | {"candidates": [candidate], "usageMetadata": self._usage(False)}

    def _envelope(self) -> dict[str, Any]:
        return {"modelVersion": self._model, "responseId": f"{self._completion.number:x}"}

    def _candidate(self, parts: list[Part]) -> dict[str, Any]:
        content: dict[str, Any] = {"role": "model"} | ({"parts": parts} if parts else {})
        return {"content": content, "index": 0}

    def _finish(self) -> dict[str, Any]:
        found: dict[str, Any] = {"finishReason": REASONS[self._script.ending]}
        if self._script.ending in ("refusal", "filtered"):
            found |= {"safetyRatings": RATINGS, "finishMessage": "The answer may be harmful."}
        grounding = self._grounding()
        return found | ({"groundingMetadata": grounding} if grounding else {})

    def _groups(self) -> Iterator[list[Part]]:
        """Yield the parts that one part of the script becomes in a stream, the last with its signature."""
        if self._script.ending in ("refusal", "filtered"):
            return
        functions = any("functionDeclarations" in tool for tool in self._body.get("tools") or ())
        signs = self._thinks and (functions or version_of(self._model) >= (3, 0))
        calls = any(isinstance(part, Called) for part in self._script.parts)
        said = [part for part in self._script.parts if isinstance(part, SaidText | Drawn)]
        signed_call_yet = False
        for part in self._script.parts:
            if isinstance(part, Thought):
                if self._shows_thoughts:
                    yield [{"text": piece, "thought": True} for piece in part.pieces]
            elif isinstance(part, SaidText | Declined):
                pieces: list[Part] = [{"text": piece} for piece in part.pieces]
                if signs and not calls and part is said[-1]:
                    pieces.append({"text": "", "thoughtSignature": self._signatures.sign_part("".join(part.pieces))})
                yield pieces
            elif isinstance(part, Drawn):
                image: Part = {"inlineData": {"mimeType": part.media_type, "data": part.data}}
                yield [image | ({"thoughtSignature": self._signatures.sign_part(part.data)} if signs else {})]
            elif isinstance(part, Called):
                call = self._call(part)
                signature = {"thoughtSignature": self._signatures.sign_part(signed_call(call))}
                yield [{"functionCall": call} | (signature if signs and not signed_call_yet else {})]
                signed_call_yet = True

    def _call(self, part: Called) -> Part:
        try:
            args = json.loads(part.arguments)
        except ValueError:
            # The vendor parses the arguments itself: one that it cannot parse never arrives.
            args = {"input": part.arguments}
        call: Part = {"name": part.name, "args": args}
        # Newer models name their calls.
        return call | ({"id": f"call-{part.number:x}"} if version_of(self._model) >= (3, 0) else {})

    def _grounding(self) -> dict[str, Any]:
        queries = [part.query for part in self._script.parts if isinstance(part, Searched)]
        sources: list[CitedSource] = []
        supports: list[Part] = []
        said = ""
        for part in self._script.parts:
            if not isinstance(part, SaidText):
                continue
            for source in part.citations:
                if source.url is None:
                    continue
                text = "".join(part.pieces)
                start = len(said.encode())
                segment = {"startIndex": start, "endIndex": start + len(text.encode()), "text": text}
                supports.append({"segment": segment, "groundingChunkIndices": [len(sources)]})
                sources.append(source)
            said += "".join(part.pieces)
        if not queries and not sources:
            return {}
        chunks = [{"web": {"uri": source.url, "title": source.title}} for source in sources]
        return {"webSearchQueries": queries, "groundingChunks": chunks, "groundingSupports": supports}

    def _logprobs(self, text: str) -> dict[str, Any]:
        tokens = [f"{token} " for token in text.split(" ")]
        tokens[-1] = tokens[-1][:-1]
        chosen = [{"token": token, "tokenId": at, "logProbability": -0.5 - at % 3} for at, token in enumerate(tokens)]
        count = int(self._config.get("logprobs") or 0)
        others = [[one, *(self._other() for _ in range(count - 1))] for one in chosen]
        found: dict[str, Any] = {"chosenCandidates": chosen}
        return found | ({"topCandidates": [{"candidates": one} for one in others]} if count else {})

    def _other(self) -> dict[str, Any]:
        return {"token": self._dice.choice(WORDS), "tokenId": 0, "logProbability": -4.0}

    def _usage(self, is_last: bool) -> dict[str, Any]:
        script, completion = self._script, self._completion
        hidden = not any(isinstance(part, Thought | HiddenThought) for part in script.parts)
        thoughts = script.thinking_tokens or (TOKENS_OF_HIDDEN_THINKING if self._thinks and hidden else 0)
        if not self._thinks or script.ending == "blocked":
            thoughts = 0
        written = script.tokens - script.thinking_tokens if is_last else 0
        found: dict[str, Any] = {
            "promptTokenCount": completion.prompt_tokens,
            "totalTokenCount": completion.prompt_tokens + written + thoughts,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": completion.prompt_tokens}],
        }
        if written:
            found["candidatesTokenCount"] = written
        if thoughts:
            found["thoughtsTokenCount"] = thoughts
        if completion.cached_tokens:
            found["cachedContentTokenCount"] = completion.cached_tokens
            found["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": completion.cached_tokens}]
        return found


def unsaid_in_contents(script: Script) -> str | None:
    """Return what of ``script`` the format cannot say at all."""
    if script.pauses:
        return "a turn that pauses"
    return "a response that says that it has failed" if script.ending == "failed" else None


def _whole(group: list[Part]) -> list[Part]:
    """Return the parts of a group as a non-streaming response has them: pieces of one text are one part."""
    if not group or "text" not in group[0]:
        return group
    joined: Part = {"text": "".join(part["text"] for part in group)}
    for part in group:
        joined |= {name: value for name, value in part.items() if name != "text"}
    return [joined]


def _is_said(part: Part) -> bool:
    return bool(part.get("text")) and not part.get("thought")


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"
