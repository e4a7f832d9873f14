"""A receiver for every service apprise supports: Slack, Teams, Telegram, mail, the desktop.

Needs `parkmeter[notify]`. apprise is imported only when an address is configured, because the
import is slow.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from parkmeter.core.events import Event, text, title
from parkmeter.core.journal import Kind
from parkmeter.errors import ConfigError
from parkmeter.notify.receiver import ReadByPeople

_TYPES = {
    Kind.WARNING: "warning",
    Kind.FAILURE: "failure",
    Kind.READY: "success",
}


class NotSentError(Exception):
    """Raised when apprise could not deliver; it gives the reason only in its log."""


class AppriseReceiver(ReadByPeople):
    """Implements `Receiver` for one apprise address.

    Raises:
        ConfigError: apprise is not installed or rejects the address. The message omits the
            address, because addresses contain passwords.

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
            accepted = self._service.add(url)
        if not accepted:
            raise ConfigError(
                f"notify.apprise: apprise does not understand the address {service}://… . The "
                "format for each service: https://github.com/caronc/apprise/wiki"
            )

    def send(self, event: Event) -> None:
        """Send one message; apprise's own time-outs of 4 s apply to each of its requests."""
        notify_type = _TYPES.get(event.kind, "info")
        if not self._service.notify(title=title(event), body=text(event), notify_type=notify_type):
            raise NotSentError("apprise could not deliver it; see its log lines")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence apprise: it logs an address that it rejects, including its password."""
    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
