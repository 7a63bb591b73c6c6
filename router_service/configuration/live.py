"""Keep the configuration in force while the router runs: take a changed file over, read models, keep the last good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from data.catalogue.types import Catalogue
from router_service.configuration.addresses import is_complete
from router_service.configuration.discovery import TIMEOUT_S, ModelDirectory, ModelSource, model_sources
from router_service.configuration.market import Market, account_of, make_market
from router_service.configuration.mistakes import ConfigurationError
from router_service.configuration.read_file import Configuration, read_configuration, with_file
from router_service.configuration.tables import ProviderTable
from router_service.providers.credentials import Account
from router_service.settings import Settings

logger = logging.getLogger(__name__)

POLL_S = 2.0
# Seconds that the start waits for lists of models; servers that are slower or down are asked again afterwards.
START_S = 3.0
Signature = tuple[int, int, int] | None


class InForce(NamedTuple):
    """Hold what the router runs on."""

    settings: Settings
    market: Market


Adopt = Callable[[InForce], None]


class LiveConfiguration:
    """Hold the ``configuration`` in force, and the models that were read.

    ``given`` are the settings without the file's, ``catalogue`` is the packaged one. Raises ``ConfigurationError`` for
    a file that is not valid at the start.
    """

    def __init__(self, given: Settings, catalogue: Catalogue) -> None:
        self._given = given
        self.catalogue = catalogue
        self._path = given.config
        self._signature = _signature(self._path)
        self.configuration = read_configuration(self._path, catalogue) if self._path else Configuration()
        self._directory = ModelDirectory()
        self.in_force = self._make(self.configuration)

    def has_accounts(self) -> bool:
        """Return whether any provider can be called with a key, or without one at an address of the file."""
        tables = self.configuration.tables.providers
        return any(
            self.account(slug) is not None and is_complete(provider, tables.get(slug, ProviderTable()))
            for slug, provider in self.in_force.market.catalogue.providers.items()
        )

    def account(self, provider: str) -> Account | None:
        """Return the account of a provider, or ``None`` where it needs a key and none is set."""
        return account_of(provider, self.in_force.market.catalogue, self.configuration.tables)

    async def start(self, adopt: Adopt) -> None:
        """Read lists of models, within ``START_S``, before the first request is served."""
        await self._read_models(adopt, timeout_s=START_S)

    async def watch(self, adopt: Adopt, poll_s: float = POLL_S) -> None:
        """Take over every valid change of the file and of the lists of models, for ever."""
        while True:
            await asyncio.sleep(poll_s)
            try:
                if not await self._reload(adopt):
                    await self._read_models(adopt)
            except Exception:
                logger.exception("the configuration could not be taken over; the last one stays in force")

    async def _reload(self, adopt: Adopt) -> bool:
        """Return whether a changed file has been taken over, with the models that its servers list now."""
        signature = await asyncio.to_thread(_signature, self._path)
        if self._path is None or signature == self._signature:
            return False
        self._signature = signature
        try:
            read = await asyncio.to_thread(read_configuration, self._path, self.catalogue)
            made = await asyncio.to_thread(self._make, read)
        except ConfigurationError as error:
            logger.error("%s is refused, and the last valid configuration stays in force: %s", self._path, error)
            return False
        if await self._directory.refresh(self._sources(read, made), again=True):
            made = await asyncio.to_thread(self._make, read)
        self.configuration, self.in_force = read, made
        adopt(made)
        logger.warning("%s has changed and is in force", self._path)
        return True

    async def _read_models(self, adopt: Adopt, timeout_s: float = TIMEOUT_S) -> None:
        if await self._directory.refresh(self.sources(), timeout_s=timeout_s):
            self.in_force = await asyncio.to_thread(self._make, self.configuration)
            adopt(self.in_force)

    def _make(self, configuration: Configuration) -> InForce:
        settings = with_file(self._given, configuration)
        return InForce(settings, make_market(self.catalogue, configuration, settings, self._directory.models))

    def sources(self) -> list[ModelSource]:
        """Return where models are read."""
        return self._sources(self.configuration, self.in_force)

    def _sources(self, configuration: Configuration, made: InForce) -> list[ModelSource]:
        return model_sources(configuration.tables, self.catalogue, made.market, made.settings.provider_urls)


def _signature(path: Path | None) -> Signature:
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
