"""The edge of the gateway as the settings have it: connections, proxies, hosts; and its counts."""

from urllib.parse import urlsplit

from parkmeter.config.gateway import GatewaySettings
from parkmeter.gateway import descriptors
from parkmeter.gateway.addresses import is_local
from parkmeter.proxy.edge import Edge
from parkmeter.web.cross_origin import CrossOrigin
from parkmeter.web.hosts import KnownHosts
from parkmeter.web.peers import TrustedProxies
from parkmeter.web.persons import Persons
from parkmeter.web.public_address import PublicAddress


def configure_edge(edge: Edge, settings: GatewaySettings) -> None:
    """Put settings in force; from any thread, at any time."""
    share = descriptors.share(
        descriptors.limit(), settings.max_connections, settings.max_connections_per_peer
    )
    edge.connections.most = share.connections
    edge.connections.most_per_peer = share.per_peer
    edge.proxies = TrustedProxies(settings.trusted_proxies)
    edge.hosts = _known_hosts(settings)
    edge.cross_origin = CrossOrigin(settings.allow_origins) if settings.allow_origins else None
    edge.public = PublicAddress(settings.public_url, edge.proxies)
    edge.persons = Persons(edge.proxies, settings.proxy_secret, settings.person_header)


def edge_counts(edge: Edge) -> dict[str, float]:
    """Return the values of the edge's metrics, by their names."""
    connections = edge.connections
    counts: dict[str, float] = {
        "parkmeter_tokens_refused_total": edge.refused_tokens.total,
        "parkmeter_connections": len(connections),
        "parkmeter_connections_limit": connections.most,
        "parkmeter_connections_closed_total": connections.closed,
        "parkmeter_connections_refused_total": connections.refused,
        "parkmeter_descriptors_limit": descriptors.limit(),
    }
    used = descriptors.open_count()
    return counts if used is None else {**counts, "parkmeter_descriptors": used}


def _known_hosts(settings: GatewaySettings) -> KnownHosts | None:
    """Return the known hosts; None where other machines reach the gateway, by names of theirs."""
    if not is_local(settings.host):
        return None
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    return KnownHosts([*settings.allowed_hosts, *([public] if public else [])])
