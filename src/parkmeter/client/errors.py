"""What a client is told when something cannot be done: the gateway's problems as exceptions.

The tree is small and follows what a program would do next; `code` tells the rest apart. A problem
this version does not know is a plain `ParkmeterProblem` with everything that was sent.
"""

from collections.abc import Mapping
from typing import Any

from parkmeter.client.models import Endpoint
from parkmeter.errors import ParkmeterError


class ParkmeterProblem(ParkmeterError):  # noqa: N818 (RFC 9457 calls it a problem)
    """The gateway, or the model behind it, answered with an error.

    `code` is stable, `status` is HTTP's, `data` are the problem's further members.
    """

    def __init__(
        self, code: str, status: int, title: str, detail: str, data: Mapping[str, Any]
    ) -> None:
        super().__init__(detail)
        self.data = dict(data)
        # In the tree a code belongs to a class; here it is the gateway's word.
        self.code: str = code  # type: ignore[misc]
        self.title: str = title  # type: ignore[misc]
        self.status = status

    def __str__(self) -> str:
        return f"{self.detail} ({self.status} {self.code})"

    @property
    def document(self) -> dict[str, Any]:
        """The problem as JSON would have it."""
        members = {"title": self.title, "status": self.status, "detail": self.detail}
        return {**members, "code": self.code, **self.data}


class RefusedProblem(ParkmeterProblem):
    """401 or 403: no token, an unknown one, or one that may not do this."""


class MeterClosedProblem(ParkmeterProblem):
    """402: the meter holds no time. `data["top_up"]` is the call that changes that."""


class ConflictProblem(ParkmeterProblem):
    """409: somebody was faster, or holds what this needs."""


class NotServingProblem(ParkmeterProblem):
    """503 or 504: not now. `data["status_shown"]` is the endpoint's status where that is why."""


class UnreachableError(ParkmeterError):
    """Raised when nobody answers at the address, or the answer broke off.

    `sent`: the gateway may have got the request all the same.
    """

    code = "unreachable"
    title = "The gateway does not answer"

    def __init__(self, detail: str, url: str, *, sent: bool) -> None:
        super().__init__(detail, url=url)
        self.sent = sent


class NoAddressError(ParkmeterError):
    """Raised when it is not known where the gateway is, or which token is meant for it."""

    code = "no_address"
    title = "No gateway is known"


class NotRunningError(ParkmeterError):
    """Raised when an endpoint does not get to run: in time, or at all. `endpoint` as last seen."""

    code = "not_running"
    title = "The endpoint does not run"

    def __init__(self, detail: str, endpoint: Endpoint) -> None:
        super().__init__(detail, endpoint=endpoint.name, status=endpoint.status)
        self.endpoint = endpoint


def problem_of(status: int, document: object, text: str) -> ParkmeterProblem:
    """The exception for an answer; `document` is its JSON, None if it is none.

    A model's own errors look however its makers liked: what can be read is shown, nothing is lost.
    """
    members = dict(document) if isinstance(document, Mapping) else {}

    def taken(key: str, otherwise: str) -> str:
        return members.pop(key) if isinstance(members.get(key), str) else otherwise

    if "code" in members:
        members.pop("type", None)
        members.pop("status", None)
    code = taken("code", f"http_{status}")
    title = taken("title", f"HTTP {status}")
    silent = f"The answer was {status}, without a word."
    detail = taken("detail", _first_words(text) or silent)
    kind = _KINDS.get(status, ParkmeterProblem)
    return kind(code, status, title, detail, members)


_KINDS: Mapping[int, type[ParkmeterProblem]] = {
    401: RefusedProblem,
    402: MeterClosedProblem,
    403: RefusedProblem,
    409: ConflictProblem,
    503: NotServingProblem,
    504: NotServingProblem,
}


def _first_words(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _ENOUGH else words[:_ENOUGH] + "…"


_ENOUGH = 300
"""Characters of an answer that nobody wrote for people."""
