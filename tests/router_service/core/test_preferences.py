"""Test the ``provider`` object: the accepted values, the effect of each field, and the error for a wrong one."""

from __future__ import annotations

import msgspec
import pytest

from data.catalogue.types import DataPolicy
from router_service.core.errors import ApiError
from router_service.core.preferences import EXPECTED_VALUES, Preferences, parse_preferences
from router_service.planning.eligibility import RequestProfile
from router_service.planning.make_plan import make_plan
from tests.market import PROFILE, endpoint, state

MARKET = [
    endpoint("acme", 1, quantization="fp8", data_policy=DataPolicy(False, False), region="eu"),
    endpoint("bolt", 2, quantization="mxfp4", data_policy=DataPolicy(False, True), region="us"),
    endpoint("core", 3, quantization="bf16", data_policy=DataPolicy(True, None), distillable=True),
    endpoint("dune", 4, id="dune/turbo:b", tag="dune/turbo", supported_parameters=frozenset({"seed", "max_tokens"})),
    endpoint("dune", 5, id="dune/priority:b", tag="dune/priority", provider_name="Dune AI"),
]


def eligible(provider: dict[str, object], profile: RequestProfile = PROFILE) -> list[str]:
    plan = make_plan("a/b", MARKET, parse_preferences(msgspec.json.encode(provider)), profile, state())
    return sorted(e.tag for e in plan.endpoints)


@pytest.mark.parametrize(
    ("provider", "left"),
    [
        ({"only": ["ACME", "dune"]}, ["acme", "dune/turbo"]),
        ({"only": ["dune/priority"]}, ["dune/priority"]),
        ({"only": ["dune ai"]}, []),
        ({"only": []}, ["acme", "bolt", "core", "dune/priority", "dune/turbo"]),
        ({"ignore": ["dune", "core"]}, ["acme", "bolt", "dune/priority"]),
        ({"order": ["bolt"], "allow_fallbacks": False}, ["bolt"]),
        ({"quantizations": ["fp4", "fp8"]}, ["acme", "bolt"]),
        ({"min_quantization": "fp8"}, ["acme", "core"]),
        ({"max_price": {"prompt": "2.0", "completion": 3, "image": 0}}, ["acme", "bolt"]),
        ({"max_price": {"completion": 1.99}}, ["acme"]),
        ({"data_collection": "deny"}, ["acme", "bolt"]),
        ({"data_collection": "allow", "zdr": True}, ["acme"]),
        ({"enforce_distillable_text": True}, ["core"]),
        ({"region": "EU"}, ["acme"]),
        ({"region": ["us", "eu"]}, ["acme", "bolt"]),
        ({"unheard_of": {"of": 1}, "sort": None}, ["acme", "bolt", "core", "dune/priority", "dune/turbo"]),
    ],
)
def test_each_filter_leaves_the_matching_endpoints(provider: dict[str, object], left: list[str]) -> None:
    assert eligible(provider) == left


def test_require_parameters_requires_each_field_that_is_a_capability() -> None:
    profile = PROFILE._replace(parameters=("max_tokens", "messages", "model", "seed", "user"))
    assert eligible({"require_parameters": True}, profile) == ["dune/turbo"]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"7", "provider must be an object"),
        (b'{"order":"acme"}', "provider.order must be an array of provider slugs"),
        (b'{"only":[1]}', "provider.only[0]"),
        (b'{"zdr":"yes"}', "provider.zdr must be true or false"),
        (b'{"sort":"luck"}', "provider.sort must be one of price"),
        (b'{"sort":{"by":"price","partition":"all"}}', "provider.sort.partition must be one of model, none"),
        (b'{"max_price":{"prompt":"cheap"}}', "provider.max_price.prompt must be a number"),
        (b'{"max_price":{"image":-1}}', "provider.max_price.image must be a number"),
        (b'{"preferred_max_latency":{"p90":"1"}}', "provider.preferred_max_latency.p90"),
        (b'{"preferred_min_throughput":0}', "provider.preferred_min_throughput must be a number"),
        (b'{"quantizations":["fp9"]}', "provider.quantizations must be one of int4"),
        (b'{"min_quantization":"unknown"}', "provider.min_quantization must be one of int4"),
        (b'{"data_collection":"maybe"}', "provider.data_collection must be one of allow, deny"),
        (b'{"ttft_timeout":0}', "provider.ttft_timeout must be a number of seconds above 0"),
        (b'{"stall_timeout":"1"}', "provider.stall_timeout must be a number of seconds above 0"),
        (b'{"strategy":"dice"}', "provider.strategy must be one of price, adjusted, exacto, learned"),
        (b'{"region":""}', "provider.region must be a region such as 'eu'"),
        (b'{"region":[]}', "provider.region must be a region such as 'eu'"),
        (b'{"region":[1]}', "provider.region must be a region such as 'eu'"),
        (b'{"order":["\xff"]}', "provider is not valid JSON"),
    ],
)
def test_a_wrong_field_gets_a_400_that_names_it(raw: bytes, says: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_preferences(raw)
    assert (caught.value.code, says in caught.value.message) == (400, True), caught.value.message


def test_every_field_has_an_error_sentence_and_timeouts_reach_the_plan() -> None:
    assert set(EXPECTED_VALUES) == set(Preferences.__struct_fields__)
    found = parse_preferences(b'{"ttft_timeout": 2.5, "stall_timeout": 10}')
    plan = make_plan("a/b", MARKET, found, PROFILE, state())
    assert (plan.preferences.ttft_timeout, plan.preferences.stall_timeout) == (2.5, 10)
