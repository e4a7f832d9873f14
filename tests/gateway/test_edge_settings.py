"""From settings to the rules at the edge."""

import pytest

from parkmeter.config.gateway import GatewaySettings
from parkmeter.gateway.edge_settings import configure_edge, edge_counts
from parkmeter.proxy.edge import Edge


def edge(**settings: object) -> Edge:
    made = Edge()
    configure_edge(made, GatewaySettings(**settings))
    return made


def test_on_loopback_only_known_hosts_will_do():
    made = edge(public_url="https://meter.example.org/prod", allowed_hosts=("box.lan",))
    assert made.hosts is not None
    known = [b"localhost:8080", b"meter.example.org", b"box.lan", b"evil.example"]
    assert [made.hosts.knows(host) for host in known] == [True, True, True, False]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5"])
def test_where_other_machines_reach_it_by_names_of_theirs_any_host_will_do(host):
    assert edge(host=host).hosts is None


def test_no_proxy_is_trusted_unless_it_is_named_not_even_on_this_machine():
    assert not edge().proxies.trusts("127.0.0.1")
    assert edge(trusted_proxies=("10.0.0.0/8",)).proxies.trusts("10.1.2.3")


def test_a_trusted_proxy_is_exempt_from_the_limit_per_peer():
    made = edge(trusted_proxies=("10.0.0.0/8",))
    assert made.connections.exempt("10.1.2.3")
    assert not made.connections.exempt("127.0.0.1")


def test_limits_follow_the_settings_and_a_reload_changes_them():
    made = edge(max_connections=100, max_connections_per_peer=20)
    assert (made.connections.most, made.connections.most_per_peer) == (100, 20)
    configure_edge(made, GatewaySettings(max_connections=50))
    assert (made.connections.most, made.connections.most_per_peer) == (50, 12)


def test_counts_are_those_of_the_metrics():
    counts = edge_counts(edge(max_connections=100))
    assert counts["parkmeter_connections_limit"] == 100
    assert counts["parkmeter_connections"] == counts["parkmeter_tokens_refused_total"] == 0
    assert 0 < counts["parkmeter_descriptors"] < counts["parkmeter_descriptors_limit"]
