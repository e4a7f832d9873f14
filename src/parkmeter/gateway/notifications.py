"""The receivers of events and the events published, by the settings. Knows no other adapter."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from parkmeter.config.notify import NotifySettings
from parkmeter.config.settings import Settings
from parkmeter.core.events import Event, Extension
from parkmeter.core.journal import Entry
from parkmeter.notify.apprise import AppriseReceiver
from parkmeter.notify.receiver import Receiver
from parkmeter.notify.webhook import Webhook
from parkmeter.ports import Store
from parkmeter.service.event_builder import EventBuilder, extension_of


@dataclass(frozen=True, slots=True)
class EventSource:
    """Events of journal entries, by the settings in force at that moment.

    `address`: the gateway's own, for links where no public one is set; `secret()` signs them.
    """

    store: Store
    settings: Callable[[], Settings]
    address: str
    secret: Callable[[], bytes]

    def event(self, entry: Entry) -> Event | None:
        """Return the event for an entry; None if events of its kind are not wanted."""
        settings = self.settings()
        if entry.kind not in settings.notify.events:
            return None
        return EventBuilder(self.store, self._link).event(entry)

    def _link(self, warning: Entry) -> Extension:
        settings = self.settings()
        address = settings.gateway.public_url or self.address
        return extension_of(warning, settings.spec(warning.endpoint), address, self.secret())


def receivers(notify: NotifySettings, now: Callable[[], datetime]) -> dict[str, Receiver]:
    """Return all receivers, by names that stay the same as long as the addresses do.

    Raises:
        ConfigError: apprise is missing, or does not understand an address.

    """
    found: dict[str, Receiver] = {}
    for hook in notify.webhooks:
        host = urlsplit(hook.url).hostname
        found[f"webhook {host} {_digest(hook.url)}"] = Webhook(hook.url, hook.secret, now)
    for address in notify.apprise:
        service = address.partition("://")[0]
        found[f"apprise {service} {_digest(address)}"] = AppriseReceiver(address)
    return found


def check_receivers(notify: NotifySettings) -> None:
    """Validate all receivers without sending anything; raise ConfigError as `receivers` does."""
    receivers(notify, lambda: datetime.now(UTC))


def _digest(address: str) -> str:
    """Return a short name for an address that does not reveal the passwords in it."""
    return hashlib.sha256(address.encode()).hexdigest()[:12]
