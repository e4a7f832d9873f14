"""One request, as the connection of its client sees it."""

from typing import Protocol

from parkmeter.web.problems import Problem


class ClientRequest(Protocol):
    """A request that was read: a `Relay`, or an `ApplicationCycle`.

    `keep_alive`: its connection may be kept once it is answered. `response_complete`: nothing more
    is sent for it.
    """

    keep_alive: bool
    response_complete: bool

    def begin(self) -> None:
        """Begin; every request before it has been answered."""

    def add(self, piece: bytes) -> None:
        """Take a piece of its body; `client_sent` or `end` follows."""

    def end(self) -> None:
        """Take note that it is complete."""

    def client_sent(self) -> None:
        """Go on with what one read of the connection brought."""

    def client_full(self) -> None:
        """Slow down: the client does not take the answer as fast as it comes."""

    def client_free(self) -> None:
        """Go on: the client has caught up."""

    def client_left(self) -> None:
        """End without an answer."""

    def timed_out(self) -> None:
        """Act on the connection's timer."""

    def cut(self, token_id: str) -> None:
        """End a prompt, answered or not, if it is of this token."""

    def refuse(self, problem: Problem) -> None:
        """End, for a reason the connection found in the rest of the request."""
