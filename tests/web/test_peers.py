"""The peer of a request: only a trusted proxy may say for whom it asks."""

import pytest

from parkmeter.web.peers import TrustedProxies, peer_key


def peer(proxies: list[str], address: str, *headers: str) -> str:
    fields = [(b"x-forwarded-for", header.encode()) for header in headers]
    return TrustedProxies(proxies).peer_of(address, fields)


def test_without_trusted_proxies_the_header_is_not_believed():
    assert peer([], "127.0.0.1", "203.0.113.7") == "127.0.0.1"


def test_a_client_that_is_no_trusted_proxy_cannot_take_another_address():
    assert peer(["10.0.0.1"], "203.0.113.9", "198.51.100.1") == "203.0.113.9"


@pytest.mark.parametrize("proxies", [["10.0.0.1"], ["10.0.0.0/8"], ["::1", "10.0.0.0/24"]])
def test_behind_a_trusted_proxy_the_peer_is_the_one_it_names(proxies):
    assert peer(proxies, "10.0.0.1", "203.0.113.7") == "203.0.113.7"


def test_what_a_client_wrote_before_the_proxy_added_its_own_is_not_believed():
    assert peer(["10.0.0.1"], "10.0.0.1", "198.51.100.1, 203.0.113.7") == "203.0.113.7"


def test_of_a_chain_of_trusted_proxies_the_last_address_that_is_none_of_them_counts():
    chain = "198.51.100.1, 203.0.113.7, 10.0.0.3"
    assert peer(["10.0.0.0/8"], "10.0.0.1", chain, "10.0.0.2") == "203.0.113.7"


def test_a_chain_of_trusted_proxies_only_is_the_nearest_of_them():
    assert peer(["10.0.0.0/8"], "10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.1"


@pytest.mark.parametrize("header", ["", "unknown", "_hidden", "x" * 70_000, "1.2.3.4, unknown"])
def test_a_header_that_names_no_address_leaves_the_proxy(header):
    assert peer(["10.0.0.1"], "10.0.0.1", header) == "10.0.0.1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
    ],
)
def test_ports_and_brackets_are_not_part_of_an_address(written, meant):
    assert peer(["10.0.0.1"], "10.0.0.1", written) == meant


def test_an_address_written_as_ipv6_is_the_same_proxy():
    assert peer(["10.0.0.1"], "::ffff:10.0.0.1", "203.0.113.7") == "203.0.113.7"


def test_a_network_that_is_none_is_refused():
    with pytest.raises(ValueError, match="does not appear"):
        TrustedProxies(["everywhere"])


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_all_addresses_of_one_ipv6_site_are_one_peer(address, key):
    assert peer_key(address) == key
