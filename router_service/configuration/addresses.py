"""Fill the addresses that contain something of the operator's account, from the file and the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from data.catalogue.addresses import PLACEHOLDERS, filled, placeholders, template_for
from data.catalogue.types import Endpoint, Provider
from router_service.configuration.tables import ADDRESS_PART, ProviderTable

_VARIABLE = re.compile(r"\$\{(\w+)\}")
# An address of the file may be a whole one in a variable.
_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,1023}")


class AddressGap(NamedTuple):
    """Name what an address needs: ``field`` of the provider's table, if there is one, and an environment ``variable``.

    ``wrong`` is true where the variable is set to a value that cannot be a part of an address.
    """

    field: str | None
    variable: str | None
    wrong: bool = False

    def sentence(self, slug: str) -> str:
        """Return what to do, as a sentence without a full stop."""
        if self.variable is None:
            return f"{slug} needs {self.field}, which is a part of its address; without it the provider is not called"
        state = "cannot be a part of an address" if self.wrong else "is not set in this environment"
        other = f"; write {self.field} in its table, or set the variable" if self.field else ""
        return f"{self.variable} {state}, so that {slug} has no address and is not called{other}"


def address_values(provider: Provider, table: ProviderTable) -> dict[str, str]:
    """Return the values for the addresses of ``provider``: those of the file, else those of the environment."""
    given = {name: value for name in PLACEHOLDERS if (value := getattr(table, name, None)) is not None}
    for name, variable in provider.address_variables:
        value = os.environ.get(variable, "").strip()
        if name not in given and ADDRESS_PART.fullmatch(value):
            given[name] = value
    return given


def address_gaps(provider: Provider, table: ProviderTable) -> Iterator[AddressGap]:
    """Yield what is missing for the address of ``provider``, as the file and the environment stand."""
    variables = dict(provider.address_variables)
    if table.base_url is None:
        wanted = set(variables)
    else:
        wanted = placeholders(table.base_url) - {"deployment"}
        for name in _VARIABLE.findall(table.base_url):
            value = os.environ.get(name, "").strip()
            if not _TEXT.fullmatch(value):
                yield AddressGap(None, name, wrong=bool(value))
    values = address_values(provider, table)
    for name in sorted(wanted - set(values)):
        variable = variables.get(name)
        yield AddressGap(name, variable, wrong=bool(variable and os.environ.get(variable, "").strip()))


def is_complete(provider: Provider, table: ProviderTable) -> bool:
    """Return whether the address of ``provider`` is known."""
    return next(address_gaps(provider, table), None) is None


def called_address(endpoint: Endpoint, provider: Provider, table: ProviderTable) -> str | None:
    """Return the address that ``endpoint`` is called at, ``None`` if something of it is missing."""
    if not is_complete(provider, table):
        return None
    return _address(endpoint, provider, table, address_values(provider, table))


def lab_address(endpoint: Endpoint, provider: Provider, table: ProviderTable, lab_url: str) -> str | None:
    """Return where the lab imitates ``endpoint``, at a path of the provider's own form if it contains an account.

    ``None`` where the account is missing, as for the provider itself.
    """
    root = f"{lab_url.rstrip('/')}/{endpoint.provider}"
    if not provider.addresses:
        return f"{root}/v1"
    address = called_address(endpoint, provider, table)
    if address is None:
        return None
    found = urlsplit(address)
    return f"{root}{found.path}{'?' if found.query else ''}{found.query}"


def file_address(table: ProviderTable, provider: Provider) -> str | None:
    """Return the address of the file with its values, ``None`` where it has none for more than one model."""
    if table.base_url is None:
        return table.address
    if "{deployment}" in table.base_url or not is_complete(provider, table):
        return None
    return _complete(table.base_url, table, address_values(provider, table))


def _address(endpoint: Endpoint, provider: Provider, table: ProviderTable, values: Mapping[str, str]) -> str | None:
    named = dict(values) | {"deployment": endpoint.sent_model}
    if table.base_url is not None:
        return _complete(table.base_url, table, named)
    if not provider.addresses:
        return endpoint.base_url
    asked = endpoint.upstream_model if endpoint.base_url else endpoint.model.rsplit("/", 1)[-1]
    url = template_for(provider.addresses, asked, endpoint.wire_format, named)
    return None if url is None else filled(url, named)


def _complete(url: str, table: ProviderTable, values: Mapping[str, str]) -> str:
    """Return an address of the file with its values, and with the version of the API that the file names."""
    url = filled(_VARIABLE.sub(lambda match: os.environ.get(match[1], "").strip(), url), dict(values)).rstrip("/")
    return f"{url}?api-version={table.api_version}" if table.api_version and "api_version" not in url else url
