"""From settings to who is told of events, and of what. Knows the receivers, no other adapter."""

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
class Telling:
    """What others are told, by the settings that hold at that moment.

    `address`: the gateway's own, for links where no public one is set; `secret` signs them.
    """

    store: Store
    settings: Callable[[], Settings]
    address: str
    secret: bytes

    def event(self, entry: Entry) -> Event | None:
        """The event of a line; None if nobody wants to be told."""
        settings = self.settings()
        if entry.kind not in settings.notify.events:
            return None
        return EventBuilder(self.store, self._link).event(entry)

    def _link(self, warning: Entry) -> Extension:
        settings = self.settings()
        address = settings.gateway.public_url or self.address
        return extension_of(warning, settings.spec(warning.endpoint), address, self.secret)


def receivers(notify: NotifySettings, now: Callable[[], datetime]) -> dict[str, Receiver]:
    """Everybody who is told, by names that stay the same as long as the addresses do.

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
    """Whether everybody could be told; tells nobody. Raises ConfigError as `receivers` does."""
    receivers(notify, lambda: datetime.now(UTC))


def _digest(address: str) -> str:
    """Tells addresses apart without saying them: they have passwords in them."""
    return hashlib.sha256(address.encode()).hexdigest()[:12]
