"""Say what the model draws by scripts, for wire formats that write everything by them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from lab.script import Ending, Script, drawn_script
from lab.shapes import RequestRefused
from lab.text import Completion


class ScriptedWire(ABC):
    """Implement ``whole`` and ``events`` of ``Wire``. ``endings`` are those of the format by the injected fault."""

    endings: Mapping[str, Ending]

    @abstractmethod
    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        """Return the response that says what the scripts say."""

    @abstractmethod
    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        """Return the events of the same response as a stream."""

    def whole(self, completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        """Return the response that the model drew."""
        return self.whole_script((drawn_script(completion, self.endings),), completion, body)

    def events(self, completion: Completion, body: dict[str, Any]) -> list[bytes]:
        """Return the events of the same response as a stream."""
        return self.script_events((drawn_script(completion, self.endings),), completion, body)


def cloud_failure(failures: Mapping[int, tuple[str, str]], status: int) -> RequestRefused:
    """Return the error with ``status``, kind and sentence by ``failures``; clouds say 503 where others say 529."""
    known = status if status in failures else 503 if status == 529 else 500
    kind, message = failures[known]
    return RequestRefused(message, status=known if status == 529 else status, kind=kind)
