"""The gateway's problems as exceptions.

The classes follow what a program would do next; `code` distinguishes the rest. An unknown problem
is a plain `ParkmeterProblem` with everything that was received.
"""

from collections.abc import Mapping
from typing import Any

from parkmeter.client.models import Endpoint
from parkmeter.errors import ParkmeterError


class ParkmeterProblem(ParkmeterError):  # noqa: N818 (RFC 9457 calls it a problem)
    """The gateway, or the model behind it, answered with an error.

    `code` is stable, `status` is HTTP's, `data` has the problem's other members. `earlier_sent`: an
    attempt before this one got no answer, so what was asked for may have been carried out.
    """

    earlier_sent = False

    def __init__(
        self, code: str, status: int, title: str, detail: str, data: Mapping[str, Any]
    ) -> None:
        super().__init__(detail)
        self.data = dict(data)
        # Elsewhere a code belongs to a class; here it comes from the gateway.
        self.code: str = code  # type: ignore[misc]
        self.title: str = title  # type: ignore[misc]
        self.status = status

    def __str__(self) -> str:
        return f"{self.detail} ({self.status} {self.code})"

    @property
    def document(self) -> dict[str, Any]:
        """Return the problem's JSON."""
        members = {"title": self.title, "status": self.status, "detail": self.detail}
        return {**members, "code": self.code, **self.data}


class RefusedProblem(ParkmeterProblem):
    """401 or 403: the token is missing, unknown, or lacks the right."""


class MeterClosedProblem(ParkmeterProblem):
    """402: the meter holds no time. `data["top_up"]` is the call that adds some."""


class ConflictProblem(ParkmeterProblem):
    """409: the state has changed, or another endpoint holds the device."""


class NotServingProblem(ParkmeterProblem):
    """503 or 504: not now. `data["status_shown"]` is the endpoint's status if that is the cause."""


class UnreachableError(ParkmeterError):
    """Raised when there is no answer from the address, or it breaks off.

    `sent`: the gateway may have received the request, in this attempt or an earlier one.
    """

    code = "unreachable"
    title = "The gateway does not answer"

    def __init__(self, detail: str, url: str, *, sent: bool) -> None:
        super().__init__(detail, url=url)
        self.sent = sent

    def after_one_sent(self) -> "UnreachableError":
        """Return this error for a request of which an earlier attempt was sent."""
        if self.sent:
            return self
        detail = f"{self.detail} An earlier attempt was sent, so it may have been carried out."
        return UnreachableError(detail, self.data["url"], sent=True)


class NoAddressError(ParkmeterError):
    """Raised when no gateway is known, or its address or token is not valid."""

    code = "no_address"
    title = "No gateway is known"


class NotRunningError(ParkmeterError):
    """Raised when an endpoint does not run in time, or cannot. `endpoint`: as last seen."""

    code = "not_running"
    title = "The endpoint is not running"

    def __init__(self, detail: str, endpoint: Endpoint) -> None:
        super().__init__(detail, endpoint=endpoint.name, status=endpoint.status)
        self.endpoint = endpoint


def problem_of(status: int, document: object, text: str) -> ParkmeterProblem:
    """Return the exception for an answer; `document` is its JSON, or None.

    A model's own errors have any form: what can be read is shown, and nothing is lost.
    """
    members = dict(document) if isinstance(document, Mapping) else {}

    def take(key: str, default: str) -> str:
        return members.pop(key) if isinstance(members.get(key), str) else default

    if "code" in members:
        members.pop("type", None)
        members.pop("status", None)
    match members:
        case {"detail": said, "error": {"message": repeated}} if said == repeated:
            # The gateway's own: it repeats the problem for other clients.
            members.pop("message", None)
            members.pop("error")
    code = take("code", f"http_{status}")
    title = take("title", f"HTTP {status}")
    empty = f"The answer was {status}, with an empty body."
    detail = take("detail", _shortened(text) or empty)
    kind = _KINDS.get(status, ParkmeterProblem)
    return kind(code, status, title, detail, members)


def problem_in(event: object) -> ParkmeterProblem | None:
    """Return the gateway's problem that ends a stream, if this is its event's JSON, else None.

    A model's own errors in its stream are without a status, or without a code in words.
    """
    match event:
        case {
            "error": {"message": str(message), "code": str(code), "status": int(status)} as error
        }:
            repeated = ("message", "code", "status", "type", "param")
            data = {key: value for key, value in error.items() if key not in repeated}
            kind = _KINDS.get(status, ParkmeterProblem)
            return kind(code, status, "The stream ended early", message, data)
        case {"type": "error", "status": int(status), "code": str(), "detail": str()}:
            return problem_of(status, event, "")  # in the form of Anthropic's clients
        case _:
            return None


_KINDS: Mapping[int, type[ParkmeterProblem]] = {
    401: RefusedProblem,
    402: MeterClosedProblem,
    403: RefusedProblem,
    409: ConflictProblem,
    503: NotServingProblem,
    504: NotServingProblem,
}


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MOST_SHOWN else words[:_MOST_SHOWN] + "…"


_MOST_SHOWN = 300
"""Characters of an answer that may not be meant for people."""
