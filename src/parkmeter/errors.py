"""The tree of everything parkmeter refuses or fails with.

Each error has a stable `code` that programs may branch on, a `detail` that says what happened and
what to do next, and its `data`. An error that only one module raises is defined there. The HTTP
status of each code is in `web.problems`; this module knows nothing of parkmeter.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar


class ParkmeterError(Exception):
    """Root of the tree.

    `data` holds only what a client may see; it fills the template `text`, the usual `detail`.
    `retry_after`: seconds after which the same request may succeed; None: not by waiting.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    text: ClassVar[str] = ""
    retry_after: int | None = None

    def __init__(self, detail: str | None = None, **data: Any) -> None:
        self.detail = self.text.format(**data) if detail is None else detail
        self.data: dict[str, Any] = data
        super().__init__(self.detail)


# ── Meters: the request cannot be carried out ───────────────────────────────────────────────────


class InvalidRequestError(ParkmeterError):
    """Raised when a request is malformed; `field` names the invalid one."""

    code = "invalid_request"
    title = "The request is not valid"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail, **({"field": field} if field else {}))


class UnknownEndpointError(ParkmeterError):
    """Raised when no endpoint of that name is configured."""

    code = "unknown_endpoint"
    title = "No such endpoint"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        shown = name if len(name) <= 63 else name[:60] + "…"  # noqa: PLR2004 (longest legal name)
        super().__init__(
            f"There is no endpoint {shown!r}. Configured: {', '.join(names) or 'none'}.",
            endpoints=names,
        )


class LimitExceededError(ParkmeterError):
    """Raised when a top-up is over a limit; has the limit and what would still fit (minutes)."""

    code = "limit_exceeded"
    title = "More time than the meter may hold"

    def __init__(self, detail: str, *, limit: timedelta, fits: timedelta) -> None:
        super().__init__(
            detail,
            limit_minutes=limit.total_seconds() / 60,
            fits_minutes=max(0.0, fits.total_seconds() / 60),
        )
        self.limit = limit
        self.fits = max(timedelta(0), fits)


class PriceUnknownError(ParkmeterError):
    """Raised when dollars are to buy time on an endpoint without a known price."""

    code = "price_unknown"
    title = "The price is not known"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has no price, so use minutes, or set price_per_hour in parkmeter.toml."
        )


class EndpointRemovedError(ParkmeterError):
    """Raised when time is put on an endpoint that is being removed for good."""

    code = "endpoint_removed"
    title = "The endpoint is being removed"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is being removed with its deployment and can no longer be started. Deploy it "
            "again to use it."
        )


class KeyReusedError(ParkmeterError):
    """Raised when an idempotency key comes again with another request."""

    code = "key_reused"
    title = "Idempotency key used for another request"
    text = (
        "This Idempotency-Key was used in the last 7 days for a different request on this "
        "endpoint. Send a new key with a new request."
    )


class ExpiryMovedError(ParkmeterError):
    """Raised when an eject names an expiry that is no longer the meter's."""

    code = "expiry_moved"
    title = "The meter has changed"
    text = (
        "The expiry you saw is out of date: the meter was topped up or ejected since. Check it, "
        "then repeat the eject with the present expires_at."
    )

    def __init__(self, expires_at: datetime) -> None:
        super().__init__(expires_at=expires_at)


class DeviceBusyError(ParkmeterError):
    """Raised when the device of an endpoint is held by another endpoint's open meter.

    `endpoint`: the one that holds it; it closes at `closes_at` if nothing is changed.
    """

    code = "device_busy"
    title = "Another endpoint holds the device"
    text = (
        "{device} is held by {endpoint} until {closes_at:%Y-%m-%d %H:%M:%S} UTC. Nothing was "
        "changed. Wait until then, or eject {endpoint}, and send this request again."
    )

    def __init__(
        self, *, device: str, endpoint: str, expires_at: datetime, closes_at: datetime
    ) -> None:
        super().__init__(
            device=device, endpoint=endpoint, expires_at=expires_at, closes_at=closes_at
        )


class OverBudgetError(ParkmeterError):
    """Raised when a token has too few minutes left for the day."""

    code = "over_budget"
    title = "This token's minutes for today are used up"
    text = (
        "This token may add {limit_minutes:g} minutes a day (UTC); {left_minutes:g} are left today."
    )

    def __init__(self, *, limit_minutes: float, left_minutes: float) -> None:
        super().__init__(limit_minutes=limit_minutes, left_minutes=left_minutes)


class TooLargeError(ParkmeterError):
    """Raised when a body is larger than this route takes (bytes)."""

    code = "too_large"
    title = "Body too large"
    text = "The body may have at most {limit_bytes:,} bytes here."

    def __init__(self, limit: int) -> None:
        super().__init__(limit_bytes=limit)


class UploadStalledError(ParkmeterError):
    """Raised when a client stops sending its body, or sends it too slowly."""

    code = "upload_stalled"
    title = "The body did not arrive"


# ── Tokens ──────────────────────────────────────────────────────────────────────────────────────


class TokenMissingError(ParkmeterError):
    """Raised when a route that needs a token got none."""

    code = "token_missing"
    title = "A token is needed"
    text = (
        "Send your token in the header `Authorization: <token>`. A local gateway keeps one in the "
        "file `token` of its state folder; on AWS they are in the table `auth`."
    )


class TokenRefusedError(ParkmeterError):
    """Raised when a token is unknown, expired or revoked; deliberately does not say which."""

    code = "token_refused"
    title = "Token refused"
    text = (
        "This token is unknown, expired or revoked. A local gateway keeps one in the file `token` "
        "of its state folder; on AWS they are in the table `auth`."
    )


class ScopeMissingError(ParkmeterError):
    """Raised when a valid token may not do this; `everywhere`: it may, on some endpoints only."""

    code = "scope_missing"
    title = "This token may not do that"

    def __init__(
        self, scope: str, endpoint: str | None = None, *, everywhere: bool = False
    ) -> None:
        where = f" on endpoint {endpoint!r}" if endpoint else " on all endpoints" * everywhere
        # "status" is in no list of scopes: any scope on the endpoint gives it.
        call = "parkmeter token create NAME" + (f" --scope {scope}" if scope != "status" else "")
        call += f" --endpoint {endpoint}" if endpoint else ""
        next_step = f"A holder of the scope 'admin' makes a token that has it: {call}"
        super().__init__(f"The scope '{scope}' is needed{where}. {next_step}", scope=str(scope))


class NameTakenError(ParkmeterError):
    """Raised when a new token is given the name of another one, or one that looks like it."""

    code = "name_taken"
    title = "Another token has this name"

    def __init__(self, name: str, token_id: str) -> None:
        super().__init__(
            f"The token {token_id} has the name {name!r}, and the journal tells people apart by "
            "names. Choose one that looks different, or revoke that token first.",
            id=token_id,
        )


class UnknownTokenError(ParkmeterError):
    """Raised when no token has this id."""

    code = "unknown_token"
    title = "No such token"
    text = "There is no token with this id. All ids: GET /tokens."


class LastAdminError(ParkmeterError):
    """Raised when the only token that can issue others is to be revoked."""

    code = "last_admin"
    title = "The last token that may issue tokens"
    text = "This is the last admin token; create another first."


# ── The data plane ──────────────────────────────────────────────────────────────────────────────


class MeterClosedError(ParkmeterError):
    """Raised when a prompt reaches an endpoint whose meter holds no time."""

    code = "meter_closed"
    title = "The meter is closed"


class NotServingError(ParkmeterError):
    """Raised when the meter is open but the endpoint does not serve yet."""

    code = "not_serving"
    title = "The endpoint does not serve now"

    def __init__(self, detail: str, *, status: str, retry_after: int | None) -> None:
        super().__init__(detail, status_shown=status)
        self.retry_after = retry_after


class UpstreamError(ParkmeterError):
    """Raised when the model server could not be reached or broke off."""

    code = "upstream_unreachable"
    title = "The model server did not answer"


class UpstreamTimeoutError(ParkmeterError):
    """Raised when the model server took too long."""

    code = "upstream_timeout"
    title = "The model server took too long"


# ── Gateway, store, driver ──────────────────────────────────────────────────────────────────────


class ConfigError(ParkmeterError):
    """Raised when the configuration cannot be used; has file, key, value and what is right."""

    code = "config_invalid"
    title = "The configuration is not valid"


class NoGatewayError(ParkmeterError):
    """Raised when no gateway is running in a state folder, or it does not answer."""

    code = "no_gateway"
    title = "No gateway"


class StoreBusyError(ParkmeterError):
    """Raised when the store could not be written in time; nothing was changed."""

    code = "store_busy"
    title = "The store is busy"
    text = (
        "The store could not take the change in time. Nothing was changed; send the same request "
        "with the same Idempotency-Key again."
    )
    retry_after: int | None = 1


class EndpointUnreachableError(ParkmeterError):
    """Raised when a change cannot be passed on to its endpoint; nothing was changed."""

    code = "endpoint_unreachable"
    title = "The endpoint cannot be reached"
    text = (
        "The change could not be passed on to the endpoint. {why} Nothing was changed; send the "
        "same request with the same Idempotency-Key again."
    )
    retry_after = 1


class LogsElsewhereError(ParkmeterError):
    """Raised where logs are not kept by parkmeter; names the log group that has them."""

    code = "not_available_here"
    title = "The logs are kept elsewhere"

    def __init__(self, log_group: str, why: str) -> None:
        super().__init__(
            f"{why} Look into the log group {log_group} of CloudWatch, for example with "
            f"`aws logs tail {log_group} --follow`.",
            log_group=log_group,
        )


class DriverError(ParkmeterError):
    """Raised by a driver that cannot start, stop or see its endpoint; `detail` is for people.

    `capacity`: the provider has none of what was asked for; another variant may still be had.
    """

    code = "driver_failed"
    title = "The endpoint's driver failed"

    def __init__(self, detail: str, *, capacity: bool = False) -> None:
        super().__init__(detail)
        self.capacity = capacity
