"""The gateway's edge: what is decided of a client before its request has shown a valid token.

Connections and their limits, refused tokens, the peer behind a trusted proxy, known host names. It
may not know meters or model servers.
"""

from time import monotonic

from parkmeter.proxy.connections import Connections
from parkmeter.proxy.refused_tokens import RefusedTokens
from parkmeter.web.cross_origin import CrossOrigin
from parkmeter.web.headers import Fields
from parkmeter.web.hosts import KnownHosts
from parkmeter.web.peers import TrustedProxies
from parkmeter.web.persons import Persons
from parkmeter.web.public_address import PublicAddress
from parkmeter.web.refusals import misdirected


class Edge:
    """The rules at the edge of one gateway, and their counts. One event loop.

    Without `configure` nothing is limited and every host is known. Its rules may be
    replaced at any time, from any thread; `hosts` is None where any host will do, `cross_origin`
    where no page of another origin may read answers.
    """

    def __init__(self) -> None:
        self.proxies = TrustedProxies()
        self.hosts: KnownHosts | None = None
        self.cross_origin: CrossOrigin | None = None
        self.persons = Persons()
        self.public = PublicAddress()
        self.connections = Connections(exempt=lambda address: self.proxies.trusts(address))  # noqa: PLW0108 (replaced)
        self.refused_tokens = RefusedTokens()

    def refuse_token(self, address: str, fields: Fields) -> float:
        """Count a refused token from this TCP peer; return the seconds its answer has to wait.

        A trusted proxy that names no client has many: none of them waits for another's guesses.
        """
        peer = self.proxies.peer_of(address, fields)
        delay = self.refused_tokens.refuse(peer, monotonic())
        return 0.0 if self.proxies.trusts(peer) else delay

    def check_host(self, field: bytes) -> None:
        """Check the Host of a request without a valid token.

        Raises:
            Refusal: it is not known here.

        """
        if self.hosts is not None and not self.hosts.knows(field):
            raise misdirected()
