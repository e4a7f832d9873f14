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


AGAIN_SECONDS = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Pauses before a server is asked again within its run, the last one for good: some load models
later, or when they are first asked for one."""


class ModelLister:
    """Asks the server of each run of an endpoint; `learned(name, ids)` gets what it listed.

    First once it is ready, which requests may wait for; then again after longer and longer pauses,
    when an empty list is no news: the server is between two models.

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
        """By endpoint: the run whose server was asked last, and the first asking."""
        self._again: dict[str, asyncio.TimerHandle | asyncio.Task[None]] = {}
        """By endpoint: the next asking within the run, or the present one."""

    def look(self, name: str) -> None:
        """Ask an endpoint's server if it has become ready since."""
        view = None if self._closed else self._gate.view(name)
        if view is not None and view.address and self._gate.standing(name) is Standing.SERVING:
            self.listing(name, address_of(view.address))

    def listing(self, name: str, address: Address) -> "asyncio.Future[None]":
        """Return the asking of the present run's server, which may be done."""
        run = self._gate.runs(name)
        asked = self._asked.get(name)
        if asked is None or asked[0] != run:
            task = asyncio.get_running_loop().create_task(self._ask(name, address))
            self._asked[name] = asked = (run, task)
            self._ask_later(name, address, run, 0)
        return asked[1]

    def close(self) -> None:
        """Ask no longer."""
        self._closed = True
        for _, asking in self._asked.values():
            asking.cancel()
        for later in self._again.values():
            later.cancel()

    def _ask_later(self, name: str, address: Address, run: int, times: int) -> None:
        if (before := self._again.get(name)) is not None:
            before.cancel()
        pause = AGAIN_SECONDS[min(times, len(AGAIN_SECONDS) - 1)]
        loop = asyncio.get_running_loop()

        def ask() -> None:
            if self._closed or self._gate.runs(name) != run:
                return
            if self._gate.standing(name) is Standing.SERVING:
                task = loop.create_task(self._ask(name, address, least=1))
                task.add_done_callback(lambda _done: self._next(name, address, run, times + 1))
                self._again[name] = task
            else:  # it may serve again, such as after a health check that failed
                self._ask_later(name, address, run, times + 1)

        self._again[name] = loop.call_later(pause, ask)

    def _next(self, name: str, address: Address, run: int, times: int) -> None:
        if not self._closed and self._gate.runs(name) == run:
            self._ask_later(name, address, run, times)

    async def _ask(self, name: str, address: Address, least: int = 0) -> None:
        """Ask, and pass on the list if it has at least this many ids."""
        try:
            async with asyncio.timeout(LISTING_SECONDS):
                ids = listed_ids(await self._list(name, address))
        except (TimeoutError, UpstreamError) as error:
            _log.info("%s did not list its models: %r", name, error)
        except Exception:  # noqa: BLE001 (nothing waits for what it raises)
            _log.exception("the models of %s could not be listed", name)
        else:
            if len(ids) >= least:
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

    def may_end(self) -> bool:
        """See `Requester`."""
        return True

    def server_full(self) -> None:
        """See `Requester`."""

    def server_free(self) -> None:
        """See `Requester`."""
