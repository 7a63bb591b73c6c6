"""Copy and join large bytes in many short calls.

Memory that a process has not used lately is given to it page by page as it is written. With that, one call for 16 MB
takes some 6 ms and holds the interpreter's lock meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO

import msgspec

# A call takes about a millisecond for such a piece at most.
PIECE = 256 * 1024


def copied(raw: msgspec.Raw | memoryview) -> bytes:
    """Return the bytes of ``raw``."""
    size = len(raw)
    return bytes(raw) if size <= PIECE else _written([memoryview(raw)], size)


def joined(pieces: Sequence[bytes | memoryview]) -> bytes:
    """Return ``pieces`` joined."""
    size = sum(map(len, pieces))
    return b"".join(pieces) if size <= PIECE else _written(_groups(pieces), size)


def piece_bounds(size: int) -> Iterable[tuple[int, int]]:
    """Return where the pieces of ``size`` bytes begin and end."""
    return ((start, min(start + PIECE, size)) for start in range(0, size, PIECE))


def _written(pieces: Iterable[bytes | memoryview], size: int) -> bytes:
    # The zeros are not written before the pieces are: the system hands out pages of zeros. The buffer owns them alone,
    # so it neither copies them nor, at the end, what was written over them.
    buffer = BytesIO(bytes(size))
    for piece in pieces:
        view = memoryview(piece)
        for start, end in piece_bounds(len(view)):
            buffer.write(view[start:end])
    return buffer.getvalue()


def _groups(pieces: Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
    """Yield small pieces together: a call for each would take longer than its work."""
    group: list[bytes | memoryview] = []
    size = 0
    for piece in pieces:
        if size + len(piece) > PIECE:
            yield b"".join(group)
            group, size = [], 0
        if len(piece) > PIECE:
            yield piece
        else:
            group.append(piece)
            size += len(piece)
    yield b"".join(group)
