"""Keep the catalogue that the router serves where the other processes find it: with an operator's own providers."""

from __future__ import annotations

import logging
from functools import lru_cache

import msgspec

from data.catalogue.load import load_catalogue
from data.catalogue.types import Catalogue
from data.lake import Lake
from data.storage.interface import ObjectNotFoundError

logger = logging.getLogger(__name__)
_KEY = "catalogue.msgpack"


def keep_configured(lake: Lake, catalogue: Catalogue | None) -> None:
    """Write the catalogue that is in force; ``None`` for the packaged one. A failure is logged: requests go on."""
    try:
        if catalogue is None:
            lake.storage.delete(_KEY)
        else:
            lake.storage.put(_KEY, msgspec.msgpack.encode(catalogue))
    except OSError as error:
        logger.warning("the catalogue in force could not be written, and dashboards show an older one: %s", error)


def configured_catalogue(lake: Lake) -> Catalogue:
    """Return the catalogue that the router has written last, else the packaged one."""
    try:
        return _decoded(lake.storage.get(_KEY))
    except ObjectNotFoundError:
        return load_catalogue()
    except (OSError, msgspec.DecodeError) as error:
        # A file of another version of the router, which writes its own at its start.
        logger.warning("the catalogue in force cannot be read, and the packaged one is used: %s", error)
        return load_catalogue()


@lru_cache(maxsize=1)
def _decoded(content: bytes) -> Catalogue:
    return msgspec.msgpack.decode(content, type=Catalogue)
