"""Check that the folder of the request log can be written to, and make it again where it was deleted."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from data.lake import Lake


def mount_of(path: Path) -> Path:
    """Return where the disk that ``path`` is on is mounted."""
    path = path.resolve()
    return next(place for place in (path, *path.parents) if os.path.ismount(place))


def check_folder(lake: Lake, mount: Path) -> None:
    """Make the log's folder if it is missing and its disk is at ``mount``. Raises ``OSError`` where it cannot be."""
    if os.access(lake.log, os.W_OK | os.X_OK):
        return
    # The data directory itself has to come back by other hands.
    lake.root.stat()
    if not os.path.ismount(mount):
        raise FileNotFoundError(errno.ENOENT, "its disk is not mounted", str(mount))
    if lake.log.exists():
        read_only = os.statvfs(lake.log).f_flag & os.ST_RDONLY
        reason = errno.EROFS if read_only else errno.EACCES
        raise OSError(reason, os.strerror(reason), str(lake.log))
    lake.create()
