"""Define the settings of the router. Each field is read from the environment variable ``PORTOLAN_<FIELD>``.

The table ``settings`` of ``portolan.toml`` has the same names in lower case; the environment wins over the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from data.catalogue.geography import is_place
from models.selection.decision.outcome import DEFAULT_ANSWER_TIMEOUT_S
from models.selection.decision.utility import USD_PER_FAILURE, USD_PER_SECOND, UtilityWeights
from router_service.admission.key_rules import CLIENT_REGION
from router_service.api.cross_origin import is_origin
from router_service.core.http_limits import HttpLimits
from router_service.core.labelling import ModelLabelling
from router_service.core.preferences import MAX_WEIGHT_USD
from router_service.upstream.address_rules import FetchRules, make_rules
from router_service.upstream.client import ClientName
from router_service.upstream.framing.sse import DEFAULT_MAX_EVENT_BYTES
from router_service.upstream.proxies import Proxies


class Settings(BaseSettings):
    """Settings of one router process. Times are in seconds, sizes in bytes, shares in [0, 1]."""

    model_config = SettingsConfigDict(env_prefix="PORTOLAN_", frozen=True, hide_input_in_errors=True)

    config: Path | None = Field(None, description="path of portolan.toml; unset: searched for")
    data_dir: Path = Path("data/var")
    lab_url: str | None = Field(None, description="base URL of a lab that replaces every provider")
    provider_urls: dict[str, str] = Field({}, description="JSON: base URLs by provider, which replace the catalogue's")
    middleware: list[str] = Field(
        [], description='JSON: names of installed middleware, the outermost first, such as ["redact"]'
    )
    max_body_bytes: int = Field(16 * 1024 * 1024, gt=0)
    max_request_head_bytes: int = Field(
        HttpLimits().head_bytes, ge=1024, le=2**20, description="request line and headers of a request; else 431"
    )
    max_request_headers: int = Field(
        HttpLimits().headers, ge=10, le=10_000, description="headers of a request; else 431"
    )
    request_head_timeout: float = Field(
        HttpLimits().head_timeout_s, gt=0, description="time for a client to send the head of a request; else 408"
    )
    request_body_idle_timeout: float = Field(
        HttpLimits().body_idle_timeout_s, gt=0, description="time without data in the body of a request; else 408"
    )
    response_idle_timeout: float = Field(
        HttpLimits().write_idle_timeout_s,
        gt=0,
        description="time in which a client reads nothing of its response; the connection is closed then",
    )
    max_connections: int = Field(
        HttpLimits().connections, ge=0, description="open connections of a worker; more get 503. 0: no limit"
    )
    max_connections_per_address: int = Field(
        HttpLimits().connections_per_address,
        ge=0,
        description="open connections of a worker from one address; more get 503. 0: no limit, as behind a proxy",
    )
    max_requests: int = Field(
        HttpLimits().requests, ge=0, description="unfinished requests of a worker; more get 503. 0: no limit"
    )
    max_arriving_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="bytes of request bodies that a worker is receiving, together; more get 503",
    )
    cors_origins: list[str] = Field(
        [],
        description="JSON: origins of web pages that may call the API besides those of this machine, such as "
        '["https://app.example"]; ["*"]: any',
    )
    analytics_url: str | None = Field(
        None, description="address of `portolan analytics`, to which the analytics API is forwarded; unset: none"
    )
    analytics_token: SecretStr = Field(
        SecretStr(""), description="secret by which `portolan analytics` knows the router; the same in both processes"
    )
    alert_webhook: SecretStr = Field(
        SecretStr(""), description="address that gets a JSON message when a run of the pipelines fails; empty: none"
    )
    upstream_client: ClientName | None = Field(
        None,
        validate_default=True,
        description="direct | httpx2: HTTP client for calls to providers; unset: httpx2 where the standard variables "
        "name a proxy for one of them, else direct, which uses no proxy",
    )
    max_event_bytes: int = Field(
        DEFAULT_MAX_EVENT_BYTES, ge=64 * 1024, le=2**30, description="largest event of a provider's stream"
    )
    connect_timeout: float = Field(5.0, gt=0)
    fetch_hosts: list[str] = Field(
        [],
        description='JSON: hosts whose media are fetched though their addresses are not public, such as ["files.lan"]',
    )
    fetch_networks: list[str] = Field(
        [],
        description='JSON: networks from which media are fetched though they are not public, such as ["10.1.0.0/16"]',
    )
    fetch_ports: list[int] = Field(sorted(FetchRules().ports), description="JSON: ports from which media are fetched")
    fetch_max_bytes: int = Field(
        FetchRules().max_bytes, gt=0, le=2**30, description="size of the fetched media of one request together"
    )
    fetch_max_media: int = Field(
        FetchRules().max_media, ge=0, le=1000, description="media that are fetched for one request; 0: none"
    )
    fetch_timeout: float = Field(FetchRules().timeout_s, gt=0, description="time to fetch one medium")
    make_prompt_caches: bool = Field(
        False,
        description="let cache marks become caches under a name at Google, which charges for writing and storing them",
    )
    ttft_timeout: float = Field(
        30.0, gt=0, description="time to first token after which a stream fails over to the next endpoint"
    )
    answer_timeout: float = Field(
        DEFAULT_ANSWER_TIMEOUT_S,
        gt=0,
        description="time after which a non-streamed response fails over to the next endpoint, if one is left",
    )
    stall_timeout: float = Field(60.0, gt=0, description="time without data after which a started stream is ended")
    total_timeout: float = Field(600.0, gt=0, description="limit for a request, over all its attempts")
    keepalive_interval: float = Field(
        4.0, gt=0, description="seconds of silence after which a stream gets a keep-alive; SDKs give up after 5"
    )
    hedge_share: float = Field(0.0, ge=0, le=1, description="share of all tokens that hedged requests may use")
    hedge_burst_tokens: int = Field(10_000, gt=0, description="largest burst of tokens that hedged requests may use")
    learned_share: float = Field(0.5, ge=0, le=1, description="share of the traffic that the learned policy serves")
    strategy: Literal["price", "adjusted", "exacto", "learned"] = Field(
        "learned", description="strategy of requests that name none; learned falls back to price"
    )
    usd_per_second: float = Field(
        USD_PER_SECOND,
        ge=0,
        le=MAX_WEIGHT_USD,
        description="utility weight of a second of latency in USD, for requests without their own",
    )
    usd_per_failure: float = Field(
        USD_PER_FAILURE,
        ge=0,
        le=MAX_WEIGHT_USD,
        description="utility weight of a failed first attempt in USD, for requests without their own",
    )
    auto_exacto: bool = Field(True, description="restrict requests with tools to endpoints whose tool calls are good")
    data_collection: Literal["allow", "deny"] = Field(
        "allow", description="deny: use only providers known not to train on prompts, for every request"
    )
    zdr: bool = Field(False, description="use only providers known to retain no data, for every request")
    enforce_distillable_text: bool = Field(
        False, description="use only models known to allow training on their outputs, for every request"
    )
    data_region: str | None = Field(None, description="country code or eu: process requests only there")
    regional_hosts: dict[str, str] = Field(
        {}, description='JSON: data region by host name, such as {"eu.*": "eu"}, for requests to that host'
    )
    client_region_header: str = Field(
        "x-portolan-client-region",
        min_length=1,
        description="header with the client's region, such as a CDN's CF-IPCountry",
    )
    client_regions: dict[str, str] = Field(
        {}, description='JSON: client region by network or by header value, such as {"10.1.0.0/16": "asia"}'
    )
    trusted_proxies: int = Field(
        0, ge=0, description="number of reverse proxies whose X-Forwarded-For entries are trusted"
    )
    category_share: float = Field(
        0.2, ge=0, le=1, description="share of the requests that are categorised, at most 5 per second and worker"
    )
    category_classifier: str | None = Field(
        None, description="entry point of the group portolan.classifiers that labels in place of the shipped classifier"
    )
    category_model: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="model that is asked for the labels of some prompts through this router's own API; unset: none",
    )
    category_model_key: SecretStr = Field(
        SecretStr(""), description="API key of this router for these requests, used for nothing else"
    )
    category_model_url: str = Field("http://127.0.0.1:8080/api/v1", description="address of this router's API")
    category_model_share: float = Field(
        0.25, ge=0, le=1, description="share of the labelled prompts that the model is asked about"
    )
    category_model_usd_per_day: float = Field(
        1.0, ge=0, le=1_000_000, description="cost of these requests in USD in a UTC day, after which none is sent"
    )
    category_model_per_second: float = Field(
        1.0, gt=0, le=100, description="such requests per second and worker; more prompts keep the classifier's labels"
    )
    category_model_timeout: float = Field(
        10.0, gt=0, le=60, description="time for such a request, after which the classifier's labels are kept"
    )
    log_sync: Literal["always", "interval", "never"] = "interval"
    log_required: bool = Field(
        False,
        description="refuse requests with 503 while the log cannot be written; else they are served with the header "
        "x-portolan-logged: false",
    )
    log_when_full: Literal["wait", "drop"] = "drop"
    log_drain_timeout: float = Field(
        10.0, ge=0, le=3600, description="time at shutdown to write queued records to a full disk"
    )
    log_reserve_bytes: int = Field(
        16 * 1024 * 1024,
        ge=0,
        le=2**40,
        description="disk space reserved per worker for records at shutdown on a full disk; 0: none",
    )
    allow_aggregators: bool = Field(False, description="route to providers that resell other providers")
    valkey_url: SecretStr | None = Field(
        None,
        description="redis:// or rediss:// (TLS): server through which machines share health and conversations",
    )
    valkey_prefix: str = Field(
        "portolan", min_length=1, max_length=100, description="prefix of the server's keys: one for each deployment"
    )

    @property
    def http_limits(self) -> HttpLimits:
        """Return the limits that the server's protocol enforces."""
        return HttpLimits(
            self.max_request_head_bytes,
            self.max_request_headers,
            self.request_head_timeout,
            self.request_body_idle_timeout,
            self.response_idle_timeout,
            self.max_connections,
            self.max_connections_per_address,
            self.max_requests,
        )

    @property
    def utility_weights(self) -> UtilityWeights:
        """Return the utility weights that the learned policy uses for a request without its own, in USD."""
        return UtilityWeights(self.usd_per_second, self.usd_per_second, self.usd_per_failure)

    @property
    def model_labelling(self) -> ModelLabelling | None:
        """Return how a model is asked for labels, ``None`` if none is."""
        if self.category_model is None:
            return None
        return ModelLabelling(
            self.category_model,
            self.category_model_key.get_secret_value(),
            self.category_model_url,
            self.category_model_share,
            self.category_model_usd_per_day,
            self.category_model_per_second,
            self.category_model_timeout,
        )

    @property
    def fetch_rules(self) -> FetchRules:
        """Return what the router may fetch for clients."""
        made = make_rules(self.fetch_hosts, self.fetch_networks, self.fetch_ports)
        return made._replace(
            max_bytes=self.fetch_max_bytes, max_media=self.fetch_max_media, timeout_s=self.fetch_timeout
        )

    @field_validator("fetch_networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        make_rules((), value, ())
        return value

    @field_validator("fetch_ports")
    @classmethod
    def _are_ports(cls, value: list[int]) -> list[int]:
        if wrong := [port for port in value if not 0 < port < 65_536]:
            raise ValueError(f"{wrong[0]} is no port; a port is a number from 1 to 65535")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not is_origin(origin):
                raise ValueError(f"{origin!r} must be an origin without a path, such as https://app.example, or *")
        return value

    @field_validator("category_model_url")
    @classmethod
    def _is_an_api(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("must be the address of this router's API, such as http://127.0.0.1:8080/api/v1")
        return value

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

    @field_validator("upstream_client")
    @classmethod
    def _proxies_are_usable(cls, value: ClientName | None) -> ClientName | None:
        Proxies.from_environment()
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
