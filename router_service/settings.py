"""What an operator can set. Every field is also an environment variable, ``PORTOLAN_`` + its name in capitals."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from data.catalogue.geography import is_place
from models.selection.decision.outcome import DEFAULT_ANSWER_TIMEOUT_S
from models.selection.decision.utility import USD_PER_FAILURE, USD_PER_SECOND, UtilityWeights
from router_service.admission.policy import CLIENT_REGION
from router_service.core.preferences import MAX_WEIGHT_USD
from router_service.upstream.client import ClientName


class Settings(BaseSettings):
    """Times in seconds, sizes in bytes, shares in [0, 1]."""

    model_config = SettingsConfigDict(env_prefix="PORTOLAN_", frozen=True, hide_input_in_errors=True)

    data_dir: Path = Path("data/var")
    lab_url: str | None = Field(None, description="address of a lab that stands in for every provider")
    provider_urls: dict[str, str] = Field({}, description="JSON: addresses by provider, in place of their own")
    max_body_bytes: int = Field(16 * 1024 * 1024, gt=0)
    upstream_client: ClientName = Field("direct", description="direct | aiohttp: who carries calls to providers")
    connect_timeout: float = Field(5.0, gt=0)
    ttft_timeout: float = Field(30.0, gt=0, description="no first token of a stream by then: next endpoint")
    answer_timeout: float = Field(
        DEFAULT_ANSWER_TIMEOUT_S, gt=0, description="no whole answer by then: next endpoint, if one is left"
    )
    stall_timeout: float = Field(60.0, gt=0, description="silence of a provider that ends a stream which has begun")
    total_timeout: float = Field(600.0, gt=0, description="for a request over all its attempts")
    keepalive_interval: float = Field(5.0, gt=0, description="silence before a stream gets a comment line")
    hedge_share: float = Field(
        0.0, ge=0, le=1, description="part of all tokens that second calls may take, sent when the first is slow"
    )
    hedge_burst_tokens: int = Field(10_000, gt=0, description="what second calls may take at once after a quiet time")
    learned_share: float = Field(0.5, ge=0, le=1, description="part of the traffic that the learned policy serves")
    strategy: Literal["price", "adjusted", "exacto", "learned"] = Field(
        "learned", description="how endpoints are chosen for a request that does not say; learned falls back to price"
    )
    usd_per_second: float = Field(
        USD_PER_SECOND,
        ge=0,
        le=MAX_WEIGHT_USD,
        description="what a second of waiting is worth to who does not say",
    )
    usd_per_failure: float = Field(
        USD_PER_FAILURE,
        ge=0,
        le=MAX_WEIGHT_USD,
        description="what a failed first attempt costs who does not say",
    )
    auto_exacto: bool = Field(True, description="requests with tools keep to endpoints whose tool calls are good")
    data_collection: Literal["allow", "deny"] = Field(
        "allow", description="deny: only providers known not to train on prompts, whatever a request says"
    )
    zdr: bool = Field(False, description="only providers known to keep nothing, whatever a request says")
    enforce_distillable_text: bool = Field(
        False, description="only models known to allow training on their answers, whatever a request says"
    )
    data_region: str | None = Field(None, description="a country's code or eu: nothing is processed elsewhere")
    regional_hosts: dict[str, str] = Field(
        {}, description='JSON: data region by host name, such as {"eu.*": "eu"}; requests by it stay there'
    )
    client_region_header: str = Field(
        "x-portolan-client-region", min_length=1, description="says where a client is; a CDN's will do: CF-IPCountry"
    )
    client_regions: dict[str, str] = Field(
        {}, description='JSON: regions of clients by network or by word of the header, such as {"10.1.0.0/16": "asia"}'
    )
    trusted_proxies: int = Field(
        0, ge=0, description="proxies in front, of whose X-Forwarded-For a client's address is taken"
    )
    category_share: float = Field(
        0.2, ge=0, le=1, description="part of the traffic that is categorised, at most 5 a second a worker"
    )
    log_sync: Literal["always", "interval", "never"] = "interval"
    log_when_full: Literal["wait", "drop"] = "drop"
    log_drain_timeout: float = Field(
        10.0, ge=0, le=3600, description="at the end, for a full disk to take the records that wait in memory"
    )
    log_reserve_bytes: int = Field(
        16 * 1024 * 1024,
        ge=0,
        le=2**40,
        description="disk space of each worker that takes these records at once; 0: none",
    )
    allow_aggregators: bool = Field(False, description="route to providers that resell other providers")
    valkey_url: SecretStr | None = Field(
        None, description="redis:// or rediss:// (TLS): the server by which machines share health and conversations"
    )
    valkey_prefix: str = Field(
        "portolan", min_length=1, max_length=100, description="of its keys: one for each installation on a server"
    )

    @property
    def utility_weights(self) -> UtilityWeights:
        """What the learned policy takes a client to mind."""
        return UtilityWeights(self.usd_per_second, self.usd_per_second, self.usd_per_failure)

    @field_validator("data_region")
    @classmethod
    def _data_region(cls, value: str | None) -> str | None:
        return None if value is None else _place(value)

    @field_validator("regional_hosts")
    @classmethod
    def _regional_hosts(cls, value: dict[str, str]) -> dict[str, str]:
        for host in value:
            if not host.strip("*") or "*" in host[:-1]:
                raise ValueError(f"{host!r} must be a host name, with * at its end at most")
        return {host: _place(region) for host, region in value.items()}

    @field_validator("client_regions")
    @classmethod
    def _client_regions(cls, value: dict[str, str]) -> dict[str, str]:
        for region in value.values():
            if not CLIENT_REGION.fullmatch(region):
                raise ValueError(f"{region!r} must be at most 16 lower-case letters, digits and hyphens")
        return value

    @field_validator("valkey_url")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        from router_service.cluster.valkey_stream import connect

        connect(value.get_secret_value())
        return value


def _place(region: str) -> str:
    if not is_place(region.lower()):
        raise ValueError(f"{region!r} is neither a country's ISO 3166 code nor an area such as eu")
    return region.lower()
