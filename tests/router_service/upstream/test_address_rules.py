"""Test which URLs and addresses are refused before any connection is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.upstream.address_rules import ForbiddenUrl, check_address, make_rules, read_target

RULES = make_rules((), (), (80, 443))


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fd00:ec2::254", "private"),
        ("fec0::1", "private"),
        ("100.64.0.1", "reserved"),
        ("192.0.0.192", "reserved|private"),
        ("192.0.0.9", "reserved|private"),
        ("192.88.99.1", "reserved|private"),
        ("2001:1::1", "reserved|private"),
        ("2001:20::1", "reserved|private"),
        ("3fff::1", "reserved|private"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "a "),
        ("240.0.0.1", "a "),
        ("192.0.2.1", "private"),
        ("198.18.0.1", "private"),
        ("168.63.129.16", "a cloud's internal"),
        ("::ffff:127.0.0.1", "IPv6 form"),
        ("::ffff:8.8.8.8", "IPv6 form"),
        ("::127.0.0.1", "IPv6 form"),
        ("64:ff9b::7f00:1", "IPv6 form"),
        ("64:ff9b:1::a00:1", "IPv6 form"),
        ("2002:7f00:1::", "IPv6 form"),
        ("2001:0:53aa:64c:0:0:80ff:fffe", "IPv6 form"),
        ("::ffff:0:7f00:1", "IPv6 form"),
        ("no address", "no usable address"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str, kind: str) -> None:
    with pytest.raises(ForbiddenUrl, match=kind):
        check_address(address, "files.example", RULES)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "172.32.0.1", "2001:200::1"]
)
def test_public_addresses_pass(address: str) -> None:
    assert str(check_address(address, "files.example", RULES)) == address


@given(st.ip_addresses())
def test_what_passes_is_public(address: object) -> None:
    try:
        found = check_address(str(address), "files.example", RULES)
    except ForbiddenUrl:
        return
    assert found.is_global and not found.is_multicast and not found.is_private and not found.is_loopback


def test_hosts_and_networks_can_be_allowed() -> None:
    rules = make_rules(["Files.LAN"], ["10.1.0.0/16", "fd00::/8"], (80,))
    assert check_address("192.168.1.1", "files.lan", rules) and check_address("10.1.2.3", "other", rules)
    assert check_address("fd00::1", "other", rules)
    with pytest.raises(ForbiddenUrl):
        check_address("10.2.0.1", "other", rules)
    with pytest.raises(ValueError, match=r"10\.1"):
        make_rules((), ["10.1.0.1/16"], ())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://a.example/x", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("gopher://a.example", "must begin with http"),
        ("//a.example/x", "must begin with http"),
        ("", "must begin with http"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://user:secret@a.example/", "user name or a password"),
        ("http://user@a.example/", "user name or a password"),
        ("http://a.example:22/", "names port 22; the router fetches from 80, 443 alone"),
        ("http://a.example:99999/", "malformed"),
        ("http://a.example:x/", "malformed"),
        ("http://[::1", "malformed"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://a.example/a b", "blanks"),
        ("http://a.example/\r\nHost: b", "blanks"),
        ("http://a.example\\@b.example/", "blanks"),
        ("http://a.example/ü", "not ASCII"),
        ("http://2130706433/", "unusual form"),
        ("http://0x7f000001/", "unusual form"),
        ("http://0x7f.1/", "unusual form"),
        ("http://0177.0.0.1/", "unusual form"),
        ("http://127.1/", "unusual form"),
        ("http://0/", "unusual form"),
        ("http://010.8.8.8/", "unusual form"),
        (f"http://{'a' * 300}.example/", "host"),
        (f"http://a.example/{'x' * 5000}", "longer than"),
    ],
)
def test_urls_in_dangerous_forms_are_refused(url: str, problem: str) -> None:
    with pytest.raises(ForbiddenUrl, match=problem):
        read_target(url, RULES)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://a.example", "a.example", 80, "/"),
        ("HTTPS://A.Example./x?y=1#z", "a.example", 443, "/x?y=1"),
        ("http://8.8.8.8/x", "8.8.8.8", 80, "/x"),
        ("http://[2606:4700::1111]/x", "2606:4700::1111", 80, "/x"),
        ("http://bücher.example/x", "xn--bcher-kva.example", 80, "/x"),
        # Full-width digits and dots are those of an address.
        ("http://１２７。0。0。1/x", "127.0.0.1", 80, "/x"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, path: str) -> None:
    assert read_target(url, RULES)[1:] == (host, port, path)


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"http://{text}"))
def test_any_text_is_a_target_or_forbidden(url: str) -> None:
    try:
        found = read_target(url, RULES)
    except ForbiddenUrl:
        return
    assert found.host.isascii() and found.path.isascii() and found.port in (80, 443)
