import pytest

from common.source import UNKNOWN, networks_of, source_of


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::2%ens5", "fe80::/64"),
        ("::1", "::/64"),
        ("", UNKNOWN),
        ("in-process", UNKNOWN),
        ("192.0.2.7:443", UNKNOWN),
        ("192.0.2.007", UNKNOWN),
    ],
)
def test_an_ipv4_address_counts_by_itself_and_ipv6_addresses_by_their_64(address: str, source: str):
    assert source_of(address) == source


def test_all_addresses_of_one_ipv6_host_count_as_one():
    assert len({source_of(f"2001:db8::{number:x}") for number in range(5000)}) == 1


@pytest.mark.parametrize(
    ("source", "networks"),
    [
        ("192.0.2.7", ("192.0.0.0/16", "192.0.2.0/24", "192.0.2.7")),
        ("2001:db8:1:2::/64", ("2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64")),
        ("device 0011", ("device 0011",) * 3),
        (UNKNOWN, (UNKNOWN,) * 3),
    ],
)
def test_a_source_is_in_the_networks_that_one_owner_has_many_addresses_in(
    source: str, networks: tuple[str, ...]
):
    assert networks_of(source) == networks
