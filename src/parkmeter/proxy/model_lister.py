"""Asks each model server, once it is ready, for the ids of its models: `GET /v1/models`.

At best effort: a server may have no such route, and nothing waits for it but a request that needs
an id. It may not know requests or tokens. One event loop.
"""

import asyncio
import logging
from collections.abc import Callable

from parkmeter.errors import UpstreamError
from parkmeter.proxy.answer_parser import State
from parkmeter.proxy.gate import LocalGate, Standing
from parkmeter.proxy.upstream_connection import UpstreamConnection
from parkmeter.proxy.upstream_pool import Address, UpstreamPool, address_of
from parkmeter.web.model_ids import listed_ids

_log = logging.getLogger(__name__)

LISTING_SECONDS = 5.0
_MOST_BYTES = 2**20
"""Of a list: 256 models, and what servers say of each."""

_OK = 200


class ModelLister:
    """Asks the server of each run of an endpoint once; `learned(name, ids)` gets what it listed.

    `own_lines` returns the header lines that an endpoint's server gets with each request.
    """

    def __init__(
        self,
        gate: LocalGate,
        pool: UpstreamPool,
        learned: Callable[[str, tuple[str, ...]], None],
        own_lines: Callable[[str], tuple[bytes, ...]],
    ) -> None:
        self._gate = gate
        self._pool = pool
        self._learned = learned
        self._own_lines = own_lines
        self._closed = False
        self._asked: dict[str, tuple[int, asyncio.Future[None]]] = {}
        """By endpoint: the run whose server was asked last, and the asking."""

    def look(self) -> None:
        """Ask every server that has become ready since."""
        if self._closed:
            return
        for name in self._gate.names():
            view = self._gate.view(name)
            if view is not None and view.address and self._gate.standing(name) is Standing.SERVING:
                self.listing(name, address_of(view.address))

    def listing(self, name: str, address: Address) -> "asyncio.Future[None]":
        """Return the asking of the present run's server, which may be done."""
        run = self._gate.runs(name)
        asked = self._asked.get(name)
        if asked is None or asked[0] != run:
            task = asyncio.get_running_loop().create_task(self._ask(name, address))
            self._asked[name] = asked = (run, task)
        return asked[1]

    def close(self) -> None:
        """Ask no longer."""
        self._closed = True
        for _, asking in self._asked.values():
            asking.cancel()

    async def _ask(self, name: str, address: Address) -> None:
        try:
            async with asyncio.timeout(LISTING_SECONDS):
                ids = listed_ids(await self._list(name, address))
        except (TimeoutError, UpstreamError) as error:
            _log.info("%s did not list its models: %r", name, error)
        except Exception:  # noqa: BLE001 (nothing waits for what it raises)
            _log.exception("the models of %s could not be listed", name)
        else:
            self._learned(name, ids)

    async def _list(self, name: str, address: Address) -> bytes:
        connection = await self._pool.open(address)
        answer = _Answer(connection)
        own = b"".join(self._own_lines(name))
        head = b"GET /v1/models HTTP/1.1\r\nHost: %b\r\n%bAccept: application/json\r\n\r\n"
        try:
            connection.begin(answer, head % (address.authority, own), headless=False)
            connection.request_sent = True
            await answer.whole
        finally:
            self._pool.give_back(address, connection)
        return bytes(answer.body) if connection.status == _OK else b""


class _Answer:
    """The answer of a server that is being asked. Implements `Requester`."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self.body = bytearray()
        self.whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection

    def received(self) -> None:
        """See `Requester`."""
        self.body += self._connection.take()
        if len(self.body) > _MOST_BYTES:
            self.failed(UpstreamError("The list is too long."))
        elif self._connection.state is State.DONE and not self.whole.done():
            self.whole.set_result(None)

    def chunk_received(self, framed: bytes, data: bytes) -> bool:
        """See `Requester`."""
        del framed, data
        return False

    def failed(self, error: UpstreamError) -> None:
        """See `Requester`."""
        if not self.whole.done():
            self.whole.set_exception(error)

    def server_full(self) -> None:
        """See `Requester`."""

    def server_free(self) -> None:
        """See `Requester`."""
