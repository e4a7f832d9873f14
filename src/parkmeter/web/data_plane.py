"""The way of a prompt: token, length, meter, model server. In raw ASGI, for HTTP requests.

It asks only the gate and the token book, both in memory, and never the core; a web framework here
would cost more than everything else it does.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from time import perf_counter

from parkmeter.errors import ParkmeterError, UnknownEndpointError
from parkmeter.tokens import Scope as TokenScope
from parkmeter.web import refusals
from parkmeter.web.asgi_types import Receive, Scope, Send
from parkmeter.web.auth import TokenBook, require
from parkmeter.web.caller import Caller, ClientGoneError
from parkmeter.web.exchange import Exchange
from parkmeter.web.fields import HEAD_LIMIT, Fields, forwarded_for, named_once, request_head
from parkmeter.web.gate import LocalGate, Seat
from parkmeter.web.patience import Rounds
from parkmeter.web.problems import Problem, problem_of
from parkmeter.web.prompt import Prompt
from parkmeter.web.routes import Route, Routes, Target
from parkmeter.web.traffic import TrafficByEndpoint
from parkmeter.web.upstream import UpstreamPool, address_of

_INVOKE = TokenScope.INVOKE
_log = logging.getLogger(__name__)


class DataPlane:
    """Serves the paths that `match` knows. For one event loop.

    `routes` may be replaced at any time, from any thread; requests under way keep what they began
    with. `now` reads the clock (aware, UTC). `traffic` counts what came of requests for endpoints
    there are; to be read on the loop.
    """

    def __init__(
        self,
        routes: Routes,
        book: TokenBook,
        gate: LocalGate,
        now: Callable[[], datetime],
        pool: UpstreamPool | None = None,
    ) -> None:
        self.routes = routes
        self._book = book
        self._gate = gate
        self._now = now
        self._pool = pool or UpstreamPool()
        self._rounds = Rounds()
        self.traffic = TrafficByEndpoint()

    def match(self, path: bytes) -> Target | None:
        """What a raw path without stage prefix asks for; None if it is not the data plane's."""
        return self.routes.match(path)

    def close(self) -> None:
        """Begin the end: held requests are told 503 now, connections are kept no more. On the loop.

        What is in flight is not disturbed.
        """
        self._gate.dismiss()
        self._pool.close()

    async def answer(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request for what `match` found.

        An answer that breaks off is left incomplete: the server in front closes the connection, so
        that no client takes half an answer for a whole one.
        """
        prompt: Prompt | None = None
        caller: Caller | None = None
        try:
            named = named_once(scope["headers"])
            prompt = Prompt(target, self._permitted(target, named), scope, self._gate, self._now)
            caller = prompt.caller(named, receive)
            with self._gate.admit(target.name) or await prompt.admitted(caller) as seat:
                await self._forward(prompt, caller, seat, send)
                return
        except ClientGoneError:
            self.traffic[target.name].gone += 1
            return
        except refusals.Refusal as refusal:
            said = refusal.problem
        except ParkmeterError as error:
            said = problem_of(error)
        except Exception:  # noqa: BLE001 (logged; whoever asks is told in our words, not uvicorn's)
            _log.exception("a request for %s ended in our own fault", target.name)
            said = problem_of(ParkmeterError("See the log."))
        finally:
            if caller is not None:
                caller.close()
        if prompt is not None and prompt.exchange is not None and prompt.exchange.started:
            _log.warning("an answer of %s broke off: %s", target.name, said.body.decode())
            self.traffic[target.name].broken += 1
        else:
            if target.route is not None:  # anybody can make names up, and each would be kept
                self.traffic[target.name].refused(said.status)
            await _say(send, said, prompt.stamp() if prompt is not None else [])

    def _permitted(self, target: Target, named: Mapping[bytes, bytes]) -> Route:
        """The route, if the token in these headers may use it."""
        header = named.get(b"authorization", b"").decode("latin-1")
        token = self._book.check(header, self._now())
        if target.route is None:
            raise UnknownEndpointError(target.name, filter(token.covers, self.routes.names))
        require(token, _INVOKE, target.name)
        return target.route

    async def _forward(self, prompt: Prompt, caller: Caller, seat: Seat, send: Send) -> None:
        scope = prompt.scope
        method: str = scope["method"]
        address = address_of(seat.address)
        own = [(b"Host", address.authority), (b"Forwarded", forwarded_for(scope))]
        if prompt.prefer.rest:
            own.append((b"Prefer", prompt.prefer.rest))
        path, query = prompt.target.path, scope["query_string"]
        head = request_head(method, path, query, scope["headers"], own)
        if len(head) > HEAD_LIMIT:
            raise refusals.head_too_large(HEAD_LIMIT)
        prompt.exchange = exchange = Exchange(
            pool=self._pool,
            rounds=self._rounds,
            address=address,
            timeouts=prompt.route.timeouts,
            caller=caller,
            send=send,
        )
        began = perf_counter()
        await exchange.run(method, head, prompt.stamp)
        self.traffic[prompt.target.name].answered(
            exchange.status, exchange.head_at - began, perf_counter() - began
        )


async def _say(send: Send, said: Problem, fields: Fields) -> None:
    own = [(name.lower().encode(), value.encode()) for name, value in said.headers.items()]
    own.append((b"content-length", b"%d" % len(said.body)))
    await send({"type": "http.response.start", "status": said.status, "headers": own + fields})
    await send({"type": "http.response.body", "body": said.body})
