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

import uvloop

from parkmeter.api.lanes import prepare
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
from parkmeter.proxy.client_server import ClientServer
from parkmeter.service.audit import BY_HAND
from parkmeter.state_folder import StateFolder

_SWITCH_SECONDS = 0.0005
"""For which a thread keeps others from running Python: after Python's own 5 ms, a top-up beside a
busy data plane waits that long each time it comes back from the disk."""


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
        sys.setswitchinterval(_SWITCH_SECONDS)
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
            self._server.stop()

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
        clients = ClientServer(protocol_for(parts.data_plane), Front(parts.control, parts.edge))

        def starting() -> None:
            parts.requests.start()
            parts.data_plane.serve(clients.connections)
            for name in parts.service.names:  # those that were shown before
                parts.data_plane.view_changed(name)

        self._server = server = _Server(
            clients,
            starting=starting,
            started=started,
            ending=shutdown.begin,
            watchdog=systemd.Watchdog(parts.clock.alive),
            patience=lambda: self._settings.gateway.shutdown_seconds,
        )
        reloader.start()
        parts.health.start()
        parts.backups.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                try:
                    runner.run(server.serve(listener))
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


class _Server:
    """One run of the server of clients, from the start to the end that a signal or `stop` asks for.

    `starting` is called on the loop before the first connection, `started` on a thread behind it,
    `ending` on the loop: held requests are answered first, or they would use up the `patience`,
    seconds for requests under way.
    """

    def __init__(  # noqa: PLR0913 (the steps of a run)
        self,
        clients: ClientServer,
        *,
        starting: Callable[[], None],
        started: Callable[[], None],
        ending: Callable[[], None],
        watchdog: systemd.Watchdog,
        patience: Callable[[], float],
    ) -> None:
        self._clients = clients
        self._watchdog = watchdog
        self._on_starting = starting
        self._on_started = started
        self._on_ending = ending
        self._patience = patience
        self._stopped = False
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """End the run; from any thread, and from a signal's handler."""
        self._stopped = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._end.set)

    async def serve(self, listener: socket.socket) -> None:
        """Serve until the end."""
        self._loop = loop = asyncio.get_running_loop()
        with self._signals():
            self._on_starting()
            await prepare()
            await self._clients.listen(listener)
            systemd.notify(systemd.READY)
            self._watchdog.start()
            loop.run_in_executor(None, self._on_started)
            if not self._stopped:
                await self._end.wait()
            systemd.notify(systemd.STOPPING)
            self._on_ending()
            await self._clients.close(self._patience())

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Let signals end the run. A second one cuts requests short, never the parking."""
        numbers = signal.SIGINT, signal.SIGTERM
        for number in numbers:
            signal.signal(number, self._signalled)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopped:
            self._clients.hurry()
        self.stop()
