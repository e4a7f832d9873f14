"""From settings to a working gateway: the only module that knows every adapter."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from parkmeter.api.app import control_app
from parkmeter.api.change_rate import ChangeRate
from parkmeter.api.dependencies import ApiContext, actor_of
from parkmeter.api.event_routes import Snapshot, add_event_routes, feed_of
from parkmeter.api.extend_routes import add_extend_routes
from parkmeter.api.feed import Feed
from parkmeter.api.lanes import Lanes
from parkmeter.api.log_routes import add_log_routes
from parkmeter.api.model_routes import add_model_routes
from parkmeter.api.token_routes import add_audit_route, add_token_routes
from parkmeter.client_file import ClientFile
from parkmeter.config.settings import EndpointSettings, Settings
from parkmeter.core.tokens import Token, digest_of
from parkmeter.descriptor_reserve import DescriptorReserve
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_logs import ProcessLogs
from parkmeter.errors import StoreBusyError
from parkmeter.gateway.backups import DailyBackups, opened_store
from parkmeter.gateway.clock import LocalClock, elapsed_now
from parkmeter.gateway.edge_settings import configure_edge, edge_counts
from parkmeter.gateway.from_settings import launches, routes
from parkmeter.gateway.health import (
    HealthMonitor,
    descriptor_check,
    disk_check,
    disk_free,
    store_check,
    thread_check,
)
from parkmeter.gateway.links import LinkSecret
from parkmeter.gateway.metrics import add_metrics_route
from parkmeter.gateway.notifications import EventSource, receivers
from parkmeter.gateway.owner_token import owner_token
from parkmeter.gateway.upkeep import JournalUpkeep
from parkmeter.gateway.usual_starts import UsualStarts
from parkmeter.notify.dispatcher import DeliveryContext, Dispatcher
from parkmeter.notify.log import LogNotifier
from parkmeter.notify.top_up_counter import TopUpCounter
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.edge import Edge
from parkmeter.proxy.gate import LocalGate
from parkmeter.proxy.request_counter import RequestCounter
from parkmeter.proxy.waker import Waker
from parkmeter.service.audit import Audit, EjectAudit
from parkmeter.service.meters import MeterService
from parkmeter.service.tokens import TokenService
from parkmeter.state_folder import StateFolder
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.unrecorded import EjectFile
from parkmeter.web.asgi import Application
from parkmeter.web.auth import TokenBook
from parkmeter.web.public_address import public_base
from parkmeter.web.routes import Routes

log = logging.getLogger(__name__)


class InForce:
    """The settings in force; replaced as a whole, so that a reader sees the old ones or the new."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def resource_of(self, name: str) -> str:
        """Return the path under which prompts reach an endpoint."""
        settings = self.settings
        # Requests may still come for one that a reload has just removed.
        return settings.resource_of(name) if name in settings.endpoints else name

    def invocations_of(self, name: str) -> str | None:
        """Return the path at which a server takes prompts; None if no other path is reached."""
        settings = self.settings
        if name not in settings.endpoints or settings.is_by_name_only(name):
            return None
        return settings.endpoints[name].invocations_path

    def changes(self) -> tuple[int, float]:
        """Return the burst of changes of one token, and its refill per second."""
        gateway = self.settings.gateway
        return gateway.changes_burst, gateway.changes_per_second

    def kept(self) -> timedelta | None:
        """Return the age at which lines of a journal may go; None: never."""
        days = self.settings.gateway.journal_days
        return None if days is None else timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Parts:
    """A local gateway, wired and not yet running. `new_token`: created in this start, or None."""

    in_force: InForce
    service: MeterService
    clock: LocalClock
    store: SqliteStore
    driver: ProcessDriver
    control: Application
    data_plane: DataPlane
    requests: RequestCounter
    feed: Feed[Snapshot]
    dispatcher: Dispatcher
    audit: Audit
    link_secret: LinkSecret
    backups: DailyBackups
    edge: Edge
    health: HealthMonitor
    upkeep: JournalUpkeep
    usual_starts: UsualStarts
    new_token: str | None
    models: Path

    def configure(self, settings: Settings) -> list[str]:
        """Put settings in force: at the start, and at any time later. Not from two threads.

        Endpoints with unchanged settings go on undisturbed, and so does every running request. New
        ones are provisioned, removed ones are ended. May be repeated.

        Returns the endpoints whose first minutes could not be written; all else is in force.

        Raises:
            ConfigError, StoreBusyError: nothing was changed.

        """
        # First, because it may fail; and before the first minutes, which cause notifications.
        self.dispatcher.configure(receivers(settings.notify, self.clock.now))
        self.in_force.settings = settings
        self.driver.launches = launches(settings, self.models)
        if secret := settings.held_back(os.environ):
            log.warning(
                "not passed on to model servers: %s; environment_from passes them on",
                ", ".join(sorted(secret)),
            )
        for name, resource in settings.by_name_only.items():
            log.warning(
                "%s: /%s is a path of the gateway's own now, so only prompts reach this endpoint, "
                "at /%s; set another api_resource",
                name,
                resource,
                settings.resource_of(name),
            )
        self.service.configure(settings.specs())
        self.usual_starts.configure(settings.endpoints)
        configure_edge(self.edge, settings.gateway)
        self.data_plane.routes = routes(settings)  # after: what follows from a head is kept for it
        busy = [name for name, one in settings.endpoints.items() if not self._provision(name, one)]
        self.service.begin()
        self.feed.notify()  # prices and hours are in no view of the gate
        return busy

    def end_requests(self) -> None:
        """Start shutdown: end event streams, answer held requests. On the loop of the requests."""
        self.feed.close()
        self.requests.close()
        self.data_plane.close()

    def _provision(self, name: str, endpoint: EndpointSettings) -> bool:
        minutes = endpoint.initial_provision_time_minutes
        try:
            self.service.provision(name, timedelta(minutes=minutes))
        except StoreBusyError:
            log.exception("the first minutes of %s could not be written", name)
            return False
        return True


def wire(settings: Settings, folder: StateFolder, url: str, open_files: int | None = None) -> Parts:
    """Build a local gateway in a folder that is locked already; `configure` it afterwards.

    `open_files`: see `ProcessDriver`.

    Raises:
        ConfigError: the store's file cannot be used.

    """
    clock = LocalClock()

    def view_changed(name: str) -> None:
        feed.notify()
        data_plane.view_changed(name)

    gate = LocalGate(clock.now, on_idle=clock.wake, on_change=view_changed)
    store = opened_store(folder.store)
    audit = Audit(store, clock.now)
    new_token = owner_token(settings, folder, store, audit, url)
    book = TokenBook(store.tokens())
    in_force = InForce(settings)
    driver = ProcessDriver(folder.endpoints, {}, DescriptorReserve(), open_files)
    link_secret = LinkSecret(folder)
    events = EventSource(store, lambda: in_force.settings, url, link_secret)
    dispatcher = Dispatcher(DeliveryContext(store, events.event, clock.now))
    counter = TopUpCounter(EjectAudit(audit, LogNotifier(), dispatcher))
    usual_starts = UsualStarts(store, counter)
    service = MeterService(
        {},
        store=store,
        driver=driver,
        clock=clock,
        gate=gate,
        notifier=usual_starts,
        elapsed=elapsed_now,
        ejects=EjectFile(folder.unrecorded_file),
    )
    waker = Waker(lambda name, token: service.wake(name, actor_of(token)))
    edge = Edge()
    data_plane = DataPlane(
        Routes(),
        book,
        gate,
        clock.now,
        waker=waker,
        edge=edge,
        usual_starts=usual_starts.known,
    )
    requests = RequestCounter(data_plane.traffic, store.requests, clock.now)
    lanes = Lanes()
    health = HealthMonitor(
        [
            store_check(store.probe),
            disk_check(folder.path),
            descriptor_check(),
            thread_check((lanes.reads, lanes.writes, lanes.ejects)),
        ],
        lambda: {"disk_free_bytes": disk_free(folder.path)},
        lambda: edge_counts(edge),
    )
    control = ApiContext(
        service,
        book,
        in_force.resource_of,
        clock.now,
        clock.alive,
        lambda: store.fault,
        requests=requests,
        usage=requests,
        lanes=lanes,
        rate=ChangeRate(in_force.changes),
        invocations=in_force.invocations_of,
        faults=health.faults,
        figures=health.figures,
        token_refused=edge.refuse_token,
        base=lambda scope: public_base(scope, edge.public),
        speaking=lambda address, fields, token: edge.persons.speaking(address, fields, token),  # noqa: PLW0108 (replaced)
    )
    feed = feed_of(control)
    application = control_app(control)

    def tokens_changed(tokens: Iterable[Token]) -> None:
        book.replace(tokens)
        gate.recheck()  # refuses the held prompts of a revoked token
        feed.notify()  # ends the streams of a revoked token

    def rotated(before: Token, secret: str) -> None:
        known = folder.client()
        if known is not None and digest_of(known.token) == before.digest:
            try:
                folder.write_client(ClientFile(url, secret))
            except OSError as error:  # only the answer has the new secret, so it must be sent
                log.error("%s has the older secret: %s", folder.client_file, error)  # noqa: TRY400

    def fixed(token: Token) -> bool:
        bootstrap = in_force.settings.bootstrap_token
        return bootstrap is not None and token.digest == digest_of(bootstrap)

    issuing = TokenService(
        store, lambda: service.names, clock.now, tokens_changed, rotated=rotated, fixed=fixed
    )
    add_token_routes(application, control, issuing, data_plane.cut)
    add_audit_route(application, control, audit)
    add_log_routes(application, control, ProcessLogs(folder.endpoints), lambda: gate.shutting_down)
    add_event_routes(application, control, feed)
    add_model_routes(application, control, data_plane.model_ids)
    add_extend_routes(application, control, link_secret, store.entry)
    add_metrics_route(
        application,
        control,
        gate,
        data_plane.traffic,
        counter.bought,
        house=lambda: edge_counts(edge),
    )
    return Parts(
        in_force=in_force,
        service=service,
        clock=clock,
        store=store,
        driver=driver,
        control=application,
        data_plane=data_plane,
        requests=requests,
        feed=feed,
        dispatcher=dispatcher,
        audit=audit,
        link_secret=link_secret,
        backups=DailyBackups(
            folder.store, lambda: in_force.settings.gateway.backup_days, clock.now
        ),
        edge=edge,
        health=health,
        upkeep=JournalUpkeep(store, lambda: service.names, in_force.kept, clock.now),
        usual_starts=usual_starts,
        new_token=new_token,
        models=folder.models,
    )
