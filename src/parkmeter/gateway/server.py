"""The local gateway: one process that serves control routes and prompts, and keeps the clock.

It begins in this order: folder, port, store, clock, HTTP. It ends the other way round: nobody new
is let in, prompts finish, and what they buy, endpoints are stopped, the store is closed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop

from parkmeter.config.diff import compare
from parkmeter.config.settings import Settings
from parkmeter.core.report import Report
from parkmeter.errors import ConfigError
from parkmeter.gateway import systemd as service_manager
from parkmeter.gateway.reload import Reloader
from parkmeter.gateway.wiring import Parts, wire
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.state_folder import StateFolder
from parkmeter.web.asgi import Application, Message, Receive, Scope, Send
from parkmeter.web.stage import located

_PARKING_SECONDS = 5.0
"""What a leash may need beyond the grace of its server, to kill and to clear away."""

_TELLING_SECONDS = 3.0
"""For what is still to be told when the gateway ends; the next one tells the rest."""


class Gateway:
    """One run of the local gateway, on the main thread until a signal or `stop` ends it.

    SIGHUP, as `parkmeter reload` sends it, has the settings that `reread` returns put in force. It
    comes from a terminal that is closed, too: then it ends the run. `config`: the file that they
    were read from, for others who ask.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        keep: bool = False,
        reread: Callable[[], Settings] | None = None,
        config: Path | None = None,
    ) -> None:
        self._settings = settings
        self._keep = keep
        self._reread = reread or (lambda: settings)
        self._config = config
        self._server: _Server | None = None

    def run(self, started: Callable[["Started"], None]) -> list[str]:
        """Serve; returns the endpoints that could not be stopped at the end.

        `started` is called once, from a thread of its own, as soon as requests are taken.

        Raises:
            StateLockedError: another gateway has the state folder.
            ConfigError: the folder, the store or the address cannot be used.

        """
        gateway = self._settings.gateway
        assert gateway.state is not None  # noqa: S101 (load_settings names one)
        folder = StateFolder(gateway.state.expanduser().absolute())
        folder.lock()
        try:
            with contextlib.closing(_bound(gateway.host, gateway.port)) as listener:
                url = _url(gateway.host, listener.getsockname()[1])
                parts = wire(self._settings, folder, url)
                reloader = Reloader(folder, lambda: self._reload(parts))
                with self._hangups(reloader):
                    folder.write_holder(url, self._config)
                    try:
                        begun = Started(url, self._settings, parts, folder)
                        return self._serve(parts, reloader, listener, lambda: started(begun))
                    finally:
                        parts.store.close()
        finally:
            folder.release()

    def stop(self) -> None:
        """End the run as SIGTERM does; from any thread."""
        if self._server is not None:
            self._server.should_exit = True

    def _reload(self, parts: Parts) -> list[str]:
        """Put the settings in force that are to be read now; what changed, for people.

        Raises:
            ConfigError, ReloadRefusedError: nothing was changed.

        """
        settings = self._reread()
        changes = compare(self._settings, settings)
        busy = parts.configure(settings)
        self._settings = settings
        if self._server is not None:
            self._server.config.timeout_graceful_shutdown = round(settings.gateway.shutdown_seconds)
        again = "its first minutes could not be written; ask for the reload again"
        return changes.lines() + [f"{name}: {again}" for name in busy]

    @contextlib.contextmanager
    def _hangups(self, reloader: Reloader) -> Iterator[None]:
        """Take SIGHUP: from somebody who asks for a reload, or from a terminal that is gone."""
        # Who has it ignored (nohup, trap) wants the gateway to outlive the terminal.
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        terminal = sys.stdin is not None and sys.stdin.isatty() and not ignored

        def hangup(_number: int, _frame: FrameType | None) -> None:
            if terminal and not os.isatty(sys.stdin.fileno()):
                self.stop()
            else:
                reloader.ask()

        signal.signal(signal.SIGHUP, hangup)
        try:
            yield
        finally:
            # Somebody who asks now must not kill what is ending in order.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _serve(
        self,
        parts: Parts,
        reloader: Reloader,
        listener: socket.socket,
        started: Callable[[], None],
    ) -> list[str]:
        parts.configure(self._settings)
        parts.clock.start(parts.service.reconcile, parts.service.sweep, parts.service.clock_jumped)
        config = uvicorn.Config(
            _Front(parts.control),
            http=protocol_for(parts.data_plane),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            # The model's own Date passes; a second one beside it would be uvicorn's.
            date_header=False,
            # Who connects is who asks: a header that anybody can send says nothing.
            proxy_headers=False,
            # Between two requests; longer than load balancers keep a connection. How long a head
            # may take is its protocol's business.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=round(self._settings.gateway.shutdown_seconds),
        )
        self._server = _Server(
            config, beginning=parts.requests.start, begun=started, ending=parts.end_requests
        )
        reloader.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._server.serve(sockets=[listener]))
        finally:
            reloader.stop()
            parts.clock.stop()
            parts.data_plane.join()  # nothing is to be bought for what is parked
            parts.requests.finish()
            left = [] if self._keep else self._park(parts)
            parts.dispatcher.stop(_TELLING_SECONDS)
        return left

    def _park(self, parts: Parts) -> list[str]:
        """Stop every endpoint; meters keep their expiry. What takes too long, its leash ends."""
        graces = [endpoint.stop_grace_seconds for endpoint in self._settings.endpoints.values()]
        give_up = time.monotonic() + max(graces) + _PARKING_SECONDS
        while (present := parts.service.park()) and time.monotonic() < give_up:
            time.sleep(0.02)
        return present


class Started:
    """What is known as soon as requests are taken."""

    def __init__(self, url: str, settings: Settings, parts: Parts, folder: StateFolder) -> None:
        self.url = url
        self.settings = settings
        self.new_token = parts.new_token
        self.token_file = folder.token_file
        self._parts = parts

    def reports(self) -> list[Report]:
        """How the endpoints are doing."""
        return self._parts.service.reports()


class _Front:
    """The ASGI application: the control routes, with and without the stage; answers are dated."""

    def __init__(self, control: Application) -> None:
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if stage := located(scope["raw_path"]).stage:
            scope["root_path"] = stage

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"date", formatdate(usegmt=True).encode()))
            await send(message)

        await self._control(scope, receive, dated)


class _Server(uvicorn.Server):
    """uvicorn's server with our own end: signals stop it and are not raised again afterwards."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        beginning: Callable[[], None],
        begun: Callable[[], None],
        ending: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._beginning = beginning
        self._begun = begun
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._beginning()
        await super().startup(sockets)
        service_manager.tell(service_manager.READY)
        asyncio.get_running_loop().run_in_executor(None, self._begun)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn. Held requests are told at once, or they would use up the time to end."""
        service_manager.tell(service_manager.STOPPING)
        self._ending()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn. A second signal cuts short what is in flight, never the parking."""
        before = {
            number: signal.signal(number, self._signalled)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number in before:
                signal.signal(number, signal.SIG_IGN)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.handle_exit(signal.SIGINT if self.should_exit else number, frame)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"The gateway cannot listen on {host}: {error.strerror}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The gateway cannot listen on {host} port {port}: {error.strerror}. "
            "Name another port with --port or PARKMETER_PORT."
        ) from error
    listener.set_inheritable(False)
    return listener


def _url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 (compared only)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
