"""Choosing the network of the link between machine and node."""

import ipaddress

import pytest
from hack.localcluster.errors import ClusterError
from hack.localcluster.network import POOL, choose
from hypothesis import given
from hypothesis import strategies as st


def test_takes_the_first_network_where_nothing_is_in_the_way() -> None:
    link = choose([{"dst": "default", "gateway": "192.0.2.1"}, {"dst": "192.0.2.0/24"}])
    assert (link.host, link.node) == ("10.213.0.1", "10.213.0.2")


@pytest.mark.parametrize("taken", ["10.213.0.0/24", "10.213.0.2", "10.213.0.0/30", "10.213.0.0/32"])
def test_leaves_out_what_a_route_overlaps(taken: str) -> None:
    assert choose([{"dst": taken}]).host == "10.213.1.1"


def test_keeps_the_network_it_had() -> None:
    assert choose([], "10.213.7.0/30").host == "10.213.7.1"


def test_gives_up_the_network_it_had_when_somebody_else_uses_it_now() -> None:
    assert choose([{"dst": "10.213.7.0/24"}], "10.213.7.0/30").host == "10.213.0.1"


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "0.0.0.0/1", "default"])
def test_a_route_to_everything_takes_nothing(everything: str) -> None:
    assert choose([{"dst": everything}]).host == "10.213.0.1"


def test_says_so_when_all_is_taken() -> None:
    with pytest.raises(ClusterError, match=r"10\.213\.0\.0/16 is in use"):
        choose([{"dst": "10.0.0.0/8"}])


@given(
    st.lists(
        st.builds(
            lambda host, prefix: str(ipaddress.IPv4Network((int(POOL[0]) + host, prefix), strict=False)),
            st.integers(0, 2**16 - 1),
            st.integers(20, 32),
        ),
        max_size=12,
    )
)
def test_what_it_chooses_overlaps_no_route(taken: list[str]) -> None:
    link = choose([{"dst": one} for one in taken])
    assert not any(link.network.overlaps(ipaddress.IPv4Network(one)) for one in taken)
    assert link.network.subnet_of(POOL)
