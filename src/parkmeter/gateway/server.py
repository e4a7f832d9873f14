"""The local gateway: one process that serves control routes and prompts, and runs the clock.

It starts in this order: folder, port, store, clock, HTTP. It ends the other way round: no new
connection, prompts finish, then what `shutdown` does, and the store is closed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop

from parkmeter.config.diff import Changes, compare
from parkmeter.config.settings import Settings
from parkmeter.core.audit import Action
from parkmeter.core.report import Report
from parkmeter.errors import ParkmeterError
from parkmeter.gateway import descriptors, systemd
from parkmeter.gateway.addresses import is_local, reached_at
from parkmeter.gateway.front import Front
from parkmeter.gateway.listener import bound, url_of
from parkmeter.gateway.protection import protect
from parkmeter.gateway.reload import Reloader
from parkmeter.gateway.shutdown import Ended, Shutdown
from parkmeter.gateway.state_guard import StateGuard
from parkmeter.gateway.wiring import Parts, wire
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.service.audit import BY_HAND
from parkmeter.state_folder import StateFolder


class Gateway:
    """One run of the local gateway, on the main thread until a signal or `stop` ends it.

    SIGHUP, as `parkmeter reload` sends it, puts the settings that `reread` returns in force. A
    terminal that is closed sends it too: then it ends the run. `config`: the file the settings were
    read from, written to the state folder for other commands.
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

    def run(self, started: Callable[["Started"], None]) -> "Ended":
        """Serve until the end.

        `started` is called once, from a thread of its own, as soon as requests are taken.

        Raises:
            StateLockedError: another gateway has the state folder.
            ConfigError: the folder, the store or the address cannot be used.

        """
        gateway = self._settings.gateway
        assert gateway.state is not None  # noqa: S101 (load_settings names one)
        folder = StateFolder(gateway.state.expanduser().absolute())
        folder.lock()
        open_files = descriptors.raise_limit()
        protect()
        try:
            with contextlib.closing(bound(gateway.host, gateway.port)) as listener:
                url = url_of(gateway.host, listener.getsockname()[1])
                parts = wire(self._settings, folder, url, open_files)
                folder.watch(folder.store)
                # Without its lock it may have a successor, beside which it commits nothing.
                parts.store.watch(folder.lock_file)
                guard = StateGuard(folder, parts.store.refuse_changes, self.stop)
                reloader = Reloader(folder, lambda: self._reload(parts))
                with self._hangups(reloader):
                    folder.write_holder(url, self._config)
                    try:
                        facts = Started(url, self._settings, parts, folder)
                        return self._serve(parts, reloader, listener, guard, lambda: started(facts))
                    finally:
                        parts.store.close()
        finally:
            folder.release()

    def stop(self) -> None:
        """End the run as SIGTERM does; from any thread."""
        if self._server is not None:
            self._server.should_exit = True

    def _reload(self, parts: Parts) -> list[str]:
        """Read the settings and put them in force; return what changed, for people.

        Raises:
            ConfigError, ReloadRefusedError: nothing was changed.

        """
        lines = []
        if parts.link_secret.refresh():
            lines.append("links: new secret; links already sent no longer work")
            parts.audit.note(Action.LINKS_ROTATED, BY_HAND, "links already sent no longer work")
        try:
            settings = self._reread()
            changes = compare(self._settings, settings)
            busy = parts.configure(settings)
        except ParkmeterError as error:
            parts.audit.note(Action.RELOAD_REFUSED, BY_HAND, error.title)
            raise
        self._settings = settings
        if self._server is not None:
            self._server.config.timeout_graceful_shutdown = round(settings.gateway.shutdown_seconds)
        retry = "its first minutes could not be written; reload again"
        if not lines or changes != Changes():
            lines += changes.lines()
        lines += [f"{name}: {retry}" for name in busy]
        parts.audit.note(Action.RELOADED, BY_HAND, "; ".join(lines))
        return lines

    @contextlib.contextmanager
    def _hangups(self, reloader: Reloader) -> Iterator[None]:
        """Handle SIGHUP: a request to reload, or the end of the terminal."""
        # With SIGHUP ignored (nohup, trap) the gateway is to outlive the terminal.
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        terminal = sys.stdin is not None and sys.stdin.isatty() and not ignored

        def hangup(_number: int, _frame: FrameType | None) -> None:
            if terminal and not os.isatty(sys.stdin.fileno()):
                self.stop()
            else:
                reloader.request()

        signal.signal(signal.SIGHUP, hangup)
        try:
            yield
        finally:
            # A late request to reload must not kill the orderly end.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _serve(
        self,
        parts: Parts,
        reloader: Reloader,
        listener: socket.socket,
        guard: StateGuard,
        started: Callable[[], None],
    ) -> "Ended":
        parts.configure(self._settings)
        service, shutdown = parts.service, Shutdown(parts)
        parts.clock.start(service.reconcile, service.sweep, service.clock_jumped, watch=guard.check)
        parts.upkeep.start()
        config = uvicorn.Config(
            Front(parts.control, parts.edge),
            http=protocol_for(parts.data_plane),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            # The model's own Date passes; uvicorn would add a second one.
            date_header=False,
            # The peer is the client: a header that any client can send proves nothing.
            proxy_headers=False,
            # Between two requests; longer than load balancers keep a connection. How long a head
            # may take is limited by `ClientConnection`.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=round(self._settings.gateway.shutdown_seconds),
        )

        def starting() -> None:
            parts.requests.start()
            parts.data_plane.serve(server.server_state.connections)
            parts.data_plane.views_changed()  # those that were shown before

        self._server = server = _Server(
            config,
            starting=starting,
            started=started,
            ending=shutdown.begin,
            watchdog=systemd.Watchdog(parts.clock.alive),
        )
        reloader.start()
        parts.health.start()
        parts.backups.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                try:
                    runner.run(self._server.serve(sockets=[listener]))
                finally:
                    # Without its folder nothing can be recorded: leashes then stop the servers.
                    # Before the loop is closed, which waits for every thread of its requests.
                    if not (self._keep or guard.lost):
                        endpoints = self._settings.endpoints.values()
                        shutdown.stop_endpoints(max(one.stop_grace_seconds for one in endpoints))
        finally:
            ended = shutdown.finish(reloader, guard.lost)
        return ended


class Started:
    """A gateway that has begun to serve."""

    def __init__(self, url: str, settings: Settings, parts: Parts, folder: StateFolder) -> None:
        self.url = url
        self.settings = settings
        self.new_token = parts.new_token
        self.token_file = folder.token_file
        host = settings.gateway.host
        self.open_at = [] if is_local(host) else reached_at(host) or [host]
        """Addresses other machines reach it at; empty if only this one does."""
        self._parts = parts

    def reports(self) -> list[Report]:
        """Return the reports on all endpoints."""
        return self._parts.service.reports()


class _Server(uvicorn.Server):
    """uvicorn's server with our own end: signals stop it and are not raised again afterwards."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        starting: Callable[[], None],
        started: Callable[[], None],
        ending: Callable[[], None],
        watchdog: systemd.Watchdog,
    ) -> None:
        super().__init__(config)
        self._watchdog = watchdog
        self._on_starting = starting
        self._on_started = started
        self._on_ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._on_starting()
        await super().startup(sockets)
        systemd.notify(systemd.READY)
        self._watchdog.start()
        asyncio.get_running_loop().run_in_executor(None, self._on_started)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn. Held requests are answered first, or they would use up the time to end."""
        systemd.notify(systemd.STOPPING)
        self._on_ending()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn. A second signal cuts requests in flight short, never the parking."""
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
