"""Which addresses a user's URL may lead to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.worker.address import AddressRule, normalise

NOTHING = AddressRule()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "168.63.129.16", "172.31.255.255",
        "192.168.1.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1",
        "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1", "2002:a00:1::1", "2001::1", "::10.0.0.1",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not NOTHING.allows("host.example", address)


@pytest.mark.parametrize("address", ["1.1.1.1", "20.60.1.2", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public(address: str) -> None:
    assert NOTHING.allows("host.example", address)


@given(st.ip_addresses())
def test_agrees_with_the_standard_library_where_that_denies(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if NOTHING.allows("host.example", str(ip)):
        real = normalise(str(ip))
        assert not (real.is_loopback or real.is_link_local or real.is_multicast or real.is_private)
        assert not (real.is_unspecified or real.is_reserved)


def test_allowed_networks_and_hosts() -> None:
    rule = AddressRule.of(["10.20.0.0/16", "169.254.10.0/24"], ["mirror.corp.example", "*.svc.cluster.local"])
    assert rule.allows("x.example", "10.20.3.4")
    assert not rule.allows("x.example", "10.21.3.4")
    assert rule.allows("x.example", "169.254.10.1")
    assert rule.allows("MIRROR.corp.example.", "192.168.0.9")
    assert rule.allows("web.shop.svc.cluster.local", "10.96.0.10")
    assert not rule.allows("svc.cluster.local.evil.example", "10.96.0.10")
    # Who rules an allowed name does not reach a metadata service with it.
    for address in ("169.254.169.254", "168.63.129.16", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254"):
        assert not rule.allows("mirror.corp.example", address)


def test_a_network_that_is_none() -> None:
    with pytest.raises(ValueError, match="x"):
        AddressRule.of(["x"], [])
