"""A router of real processes before a lab in this one, with addresses that fail for the cases that want them."""

from __future__ import annotations

import json
import logging
import signal
from asyncio import AbstractEventLoop
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.address import Address, running_loop
from benchmarks.chaos.certificates import Authority, nobody_knows
from benchmarks.chaos.faults import Case
from data.lake import Lake
from lab.server import Lab, create_app
from router_service.admission.keys import create_key, open_database
from tests.conftest import serving
from tests.running import Running, free_port

# Of a lab this fast nothing healthy takes a second, and a silence of a second is a fault.
TIME_SCALE = 0.02
DEADLINE_S = 1.0


@dataclass
class Market:
    """``addresses`` are those of providers that can die, by provider."""

    url: str
    key: str
    lab: Lab
    lake: Lake
    authority: Authority
    addresses: dict[str, Address] = field(default_factory=dict)

    def plant(self, case: Case) -> None:
        if case.fault.mode is not None:
            for endpoint in case.endpoints if case.fault.all else (case.hit,):
                self.lab.modes[endpoint.id] = case.fault.mode
        if case.fault.at == "refused":
            self.addresses[case.hit.provider].die()
        if case.fault.at == "expired":
            self.addresses[case.hit.provider].show(self.authority.expired())

    def lift(self, case: Case) -> None:
        for endpoint in case.endpoints:
            self.lab.modes.pop(endpoint.id, None)
        if case.fault.at == "refused":
            self.addresses[case.hit.provider].come_back()
        if case.fault.at == "expired":
            self.addresses[case.hit.provider].show(self.authority.good())


@contextmanager
def open_market(folder: Path, cases: Sequence[Case], workers: int, hedge_share: float = 0.0) -> Iterator[Market]:
    """Start lab and router with that share of hedged requests; on exit stop both and seal the log."""
    lab = Lab(time_scale=TIME_SCALE, faults=False)
    lake = Lake(folder / "data").create()
    key = create_key(open_database(lake.database), "chaos")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(create_app(lab)) as lab_url, running_loop() as loop:
        # Planted resets are no news.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        market = Market(url, key, lab, lake, Authority(folder))
        urls = {}
        for case in cases:
            if case.fault.at and case.hit.provider not in urls:
                urls[case.hit.provider] = f"{_base(market, case, lab_url, loop)}/{case.hit.provider}/v1"
        settings = {f"PORTOLAN_{name}_TIMEOUT": str(DEADLINE_S) for name in ("TTFT", "ANSWER", "STALL", "CONNECT")}
        settings |= {"SSL_CERT_FILE": str(market.authority.bundle), "PORTOLAN_HEDGE_SHARE": str(hedge_share)}
        settings |= {"PORTOLAN_LAB_URL": lab_url, "PORTOLAN_PROVIDER_URLS": json.dumps(urls)}
        serve = ("serve", "--workers", str(workers), "--port", str(port), "--data-dir", str(folder / "data"))
        try:
            with Running(folder / "output", *serve, **settings) as router:
                router.ready(f"{url}/health")
                yield market
                # A single worker ends by the signal itself, once it has drained.
                assert router.end() in (0, -signal.SIGTERM), router.output
        finally:
            for address in market.addresses.values():
                address.die()


def _base(market: Market, case: Case, lab_url: str, loop: AbstractEventLoop) -> str:
    if case.fault.at == "dns":
        return "http://nowhere.invalid"
    certificates = {"tls": nobody_knows, "expired": market.authority.good}
    issue = certificates.get(case.fault.at or "")
    address = market.addresses[case.hit.provider] = Address(loop, lab_url, issue() if issue else None)
    address.come_back()
    return address.url
