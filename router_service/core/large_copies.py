"""Copy and join large bytes without holding the interpreter's lock.

Memory that a process has not used lately is given to it page by page as it is written. With that, one call for 16 MB
takes some 6 ms and holds the lock meanwhile, unless the system does the work: it releases the lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import msgspec

# A call takes about a millisecond for such a piece at most.
PIECE = 256 * 1024
# The system takes so many pieces in one call.
MOST_PIECES = 512


def copied(raw: msgspec.Raw | memoryview) -> bytes:
    """Return the bytes of ``raw``."""
    size = len(raw)
    return bytes(raw) if size <= PIECE else _written([memoryview(raw)], size)


def joined(pieces: Sequence[bytes | memoryview]) -> bytes:
    """Return ``pieces`` joined."""
    size = sum(map(len, pieces))
    return b"".join(pieces) if size <= PIECE else _written(list(_groups(pieces)), size)


def piece_bounds(size: int) -> Iterable[tuple[int, int]]:
    """Return where the pieces of ``size`` bytes begin and end."""
    return ((start, min(start + PIECE, size)) for start in range(0, size, PIECE))


def _written(pieces: list[bytes | memoryview], size: int) -> bytes:
    """Return ``pieces``, which have ``size`` bytes, as a file in memory gives them back."""
    try:
        file = os.memfd_create("large-body")
    except (AttributeError, OSError):
        # Not every system has such files, and there may be too many open ones.
        return b"".join(pieces)
    try:
        written = 0
        for start in range(0, len(pieces), MOST_PIECES):
            written += os.writev(file, pieces[start : start + MOST_PIECES])
        found = os.pread(file, size, 0) if written == size else b""
    except OSError:
        found = b""
    finally:
        os.close(file)
    return found if len(found) == size else b"".join(pieces)


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
