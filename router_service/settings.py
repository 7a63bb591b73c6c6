"""What an operator can set. Every field is also an environment variable, ``PORTOLAN_`` + its name in capitals."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

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
    answer_timeout: float = Field(300.0, gt=0, description="no whole answer by then: next endpoint, if one is left")
    stall_timeout: float = Field(60.0, gt=0, description="silence of a provider that ends a stream which has begun")
    total_timeout: float = Field(600.0, gt=0, description="for a request over all its attempts")
    keepalive_interval: float = Field(5.0, gt=0, description="silence before a stream gets a comment line")
    learned_share: float = Field(0.5, ge=0, le=1, description="part of the traffic that the learned policy serves")
    strategy: Literal["price", "adjusted", "exacto", "learned"] = Field(
        "learned", description="how endpoints are chosen for a request that does not say; learned falls back to price"
    )
    auto_exacto: bool = Field(True, description="requests with tools keep to endpoints whose tool calls are good")
    data_collection: Literal["allow", "deny"] = Field(
        "allow", description="deny: only providers known not to train on prompts, whatever a request says"
    )
    zdr: bool = Field(False, description="only providers known to keep nothing, whatever a request says")
    category_share: float = Field(
        0.2, ge=0, le=1, description="part of the traffic that is categorised, at most 5 a second a worker"
    )
    log_sync: Literal["always", "interval", "never"] = "interval"
    log_when_full: Literal["wait", "drop"] = "drop"
    allow_aggregators: bool = Field(False, description="route to providers that resell other providers")
    valkey_url: SecretStr | None = Field(
        None, description="redis:// or rediss:// (TLS): the server by which machines share health and conversations"
    )
    valkey_prefix: str = Field(
        "portolan", min_length=1, max_length=100, description="of its keys: one for each installation on a server"
    )

    @field_validator("valkey_url")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        from router_service.routing.sharing.stream import connect

        connect(value.get_secret_value())
        return value
