"""Tells whatever apprise knows: Slack, Teams, Telegram, mail, the desktop.

Needs `parkmeter[notify]`. apprise is imported when an address is given, so that nobody else pays
for it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from parkmeter.core.events import Event, text, title
from parkmeter.core.journal import Kind
from parkmeter.errors import ConfigError

_TONES = {
    Kind.WARNING: "warning",
    Kind.FAILURE: "failure",
    Kind.READY: "success",
}


class NotSentError(Exception):
    """Raised when apprise could not deliver; why, it says in the log only."""


class AppriseReceiver:
    """Implements `ports.Receiver` for one of apprise's addresses.

    Raises:
        ConfigError: apprise is not installed, or does not know such an address. Never says it:
            addresses have passwords in them.

    """

    def __init__(self, url: str) -> None:
        service = url.partition("://")[0]
        try:
            import apprise  # noqa: PLC0415 (optional)
        except ImportError:
            raise ConfigError(
                f"notify.apprise names {service}://…, and apprise is not installed here. Install "
                "it beside parkmeter: .venv/bin/pip install -e '.[notify]'"
            ) from None
        self._service: Any = apprise.Apprise()
        with _quiet():
            understood = self._service.add(url)
        if not understood:
            raise ConfigError(
                f"notify.apprise: apprise does not understand the address {service}://… . How "
                f"each service is written: https://github.com/caronc/apprise/wiki"
            )

    def send(self, event: Event) -> None:
        """See `ports.Receiver`. Each of its requests has apprise's own time-outs of 4 s."""
        tone = _TONES.get(event.kind, "info")
        if not self._service.notify(title=title(event), body=text(event), notify_type=tone):
            raise NotSentError("apprise could not deliver it; its own log lines say why")


@contextmanager
def _quiet() -> Iterator[None]:
    """Apprise logs an address that it does not understand, passwords and all."""
    said = logging.getLogger("apprise")
    before, said.disabled = said.disabled, True
    try:
        yield
    finally:
        said.disabled = before
