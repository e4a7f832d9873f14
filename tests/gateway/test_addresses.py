"""Where a gateway is reached, and the words about it on the first screen."""

import sys
from ipaddress import ip_address

import pytest

from parkmeter.cli.up import open_lines
from parkmeter.gateway.addresses import is_local, reached_at


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_loopback_is_this_machine_only(host):
    assert is_local(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.168.1.5", "meter.example.org"])
def test_every_other_address_is_open_to_others(host):
    assert not is_local(host)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its interfaces")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_wildcard_is_spelled_out(host):
    found = reached_at(host)
    assert "127.0.0.1" in found
    assert all(ip_address(address) for address in found)


def test_an_address_stands_for_itself():
    assert reached_at("192.168.1.5") == ["192.168.1.5"]


def test_the_first_screen_names_the_addresses_and_says_that_tokens_are_in_clear():
    (line,) = open_lines(["192.168.1.5", "2001:db8::1"])
    assert "192.168.1.5, 2001:db8::1" in line.plain
    assert "in clear unless TLS is in front" in line.plain
    assert open_lines([]) == []
