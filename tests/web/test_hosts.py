"""The names under which a gateway may be called without a token."""

import pytest

from parkmeter.web.hosts import KnownHosts

HOSTS = KnownHosts(["Meter.Example.org", "*.lan"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "LOCALHOST",
        "meter.localhost:8080",
        "127.0.0.1:8080",
        "127.0.0.1",
        "[::1]:8080",
        "[::1]",
        "192.168.1.5:8080",
        "meter.example.org",
        "METER.example.org.:443",
        "box.lan",
        "a.box.lan:1",
        "",
    ],
)
def test_its_own_names_and_every_address_are_known(host):
    assert HOSTS.knows(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "meter.example.org.evil.example",
        "notmeter.example.org",
        "lan",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "[::1].evil.example",
        "[::1]evil.example",
        "[::1",
        "\xff",
        "x" * 300,
    ],
)
def test_every_other_name_is_unknown(host):
    assert not HOSTS.knows(host.encode("latin-1"))
