"""Everything parkmeter can refuse or fail with: one small tree.

Each error has a stable `code` that programs may branch on, a `detail` that says what happened and
what to do next, and its `data`. Which HTTP status belongs to which error is the business of
`web.problems`, not of this module; it knows nothing of parkmeter.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar


class ParkmeterError(Exception):
    """Root of the tree. `data` holds only what a client may see."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, **data: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.data: dict[str, Any] = data


# ── What a client asked for cannot be done ─────────────────────────────────────────────────────


class InvalidRequestError(ParkmeterError):
    """Raised when a request is malformed; `field` names the culprit."""

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
    """Raised when a top-up is over a limit; says the limit and what would still fit (minutes)."""

    code = "limit_exceeded"
    title = "More time than the meter takes"

    def __init__(self, detail: str, *, limit: timedelta, fits: timedelta) -> None:
        super().__init__(
            detail,
            limit_minutes=limit.total_seconds() / 60,
            fits_minutes=max(0.0, fits.total_seconds() / 60),
        )
        self.limit = limit
        self.fits = max(timedelta(0), fits)


class PriceUnknownError(ParkmeterError):
    """Raised when dollars are to buy time and nobody knows what an hour costs."""

    code = "price_unknown"
    title = "The price is not known"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Nobody knows what an hour of {name} costs, so dollars buy no time on it. "
            "Say minutes, or set its price_per_hour."
        )


class EndpointRemovedError(ParkmeterError):
    """Raised when time is put on an endpoint that is being taken away for good."""

    code = "endpoint_removed"
    title = "The endpoint is being removed"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is being removed with its deployment: it is not started any more. Deploy it "
            "again to use it."
        )


class LinkUnknownError(ParkmeterError):
    """Raised when a link that extends is none of ours, or was changed on its way."""

    code = "link_unknown"
    title = "This link does not work"

    def __init__(self) -> None:
        super().__init__(
            "It may have been cut off or changed on its way. Open it once more from the message, "
            "or add time with your token."
        )


class LinkUsedError(ParkmeterError):
    """Raised when a link that extends has done so."""

    code = "link_used"
    title = "This link was used already"

    def __init__(self, endpoint: str, minutes: float, at: datetime) -> None:
        super().__init__(
            f"It added {minutes:g} minutes to {endpoint} at {at:%Y-%m-%d %H:%M:%S} UTC, and works "
            "once. Add more time with your token.",
            endpoint=endpoint,
            minutes=minutes,
            at=at,
        )


class LinkLateError(ParkmeterError):
    """Raised when a link that extends comes after the close that it warned of."""

    code = "link_late"
    title = "This link comes too late"

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            f"{endpoint} has closed since, and a link only extends what is running. Add time with "
            "your token: that starts it again.",
            endpoint=endpoint,
        )


class LinkOutdatedError(ParkmeterError):
    """Raised when a meter's time was changed since the warning whose link is used."""

    code = "link_outdated"
    title = "Its time was changed already"

    def __init__(self, endpoint: str, closes_at: datetime) -> None:
        super().__init__(
            f"{endpoint} runs until {closes_at:%Y-%m-%d %H:%M:%S} UTC now: its time was "
            "changed after this warning, so this link has added nothing. The next warning brings a "
            "new one; with your token you can add time at once.",
            endpoint=endpoint,
            closes_at=closes_at,
        )


class KeyReusedError(ParkmeterError):
    """Raised when an idempotency key comes again with another request."""

    code = "key_reused"
    title = "Idempotency key used for another request"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used in the last 7 days for a different request on this "
            "endpoint. Send a new key with a new request."
        )


class ExpiryMovedError(ParkmeterError):
    """Raised when an eject names an expiry that is no longer the meter's."""

    code = "expiry_moved"
    title = "Somebody changed the meter meanwhile"

    def __init__(self, expires_at: datetime) -> None:
        super().__init__(
            "The expiry you saw is not the present one: somebody topped up or ejected meanwhile. "
            "Look again, then repeat the eject with the present expires_at.",
            expires_at=expires_at,
        )


class DeviceBusyError(ParkmeterError):
    """Raised when the device of an endpoint is held by another endpoint's open meter.

    `endpoint`: the one that holds it; it closes at `closes_at` as things stand.
    """

    code = "device_busy"
    title = "Another endpoint holds the device"

    def __init__(
        self, *, device: str, endpoint: str, expires_at: datetime, closes_at: datetime
    ) -> None:
        until = f"{closes_at:%Y-%m-%d %H:%M:%S} UTC"
        super().__init__(
            f"{device} is held by {endpoint} until {until}. Nothing was changed. Wait until then, "
            f"or have {endpoint} ejected, and send this top-up again.",
            device=device,
            endpoint=endpoint,
            expires_at=expires_at,
            closes_at=closes_at,
        )


class OverBudgetError(ParkmeterError):
    """Raised when a token's minutes of the day do not suffice."""

    code = "over_budget"
    title = "This token's minutes for today are used up"

    def __init__(self, *, limit_minutes: float, left_minutes: float) -> None:
        super().__init__(
            f"This token may add {limit_minutes:g} minutes a day (UTC); "
            f"{left_minutes:g} are left today.",
            limit_minutes=limit_minutes,
            left_minutes=left_minutes,
        )


class TooLargeError(ParkmeterError):
    """Raised when a body is larger than this route takes (bytes)."""

    code = "too_large"
    title = "Body too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body may have at most {limit:,} bytes here.", limit_bytes=limit)


class UploadStalledError(ParkmeterError):
    """Raised when a client stops sending its body, or sends it too slowly."""

    code = "upload_stalled"
    title = "The body did not arrive"


# ── Who asks ────────────────────────────────────────────────────────────────────────────────────


class TokenMissingError(ParkmeterError):
    """Raised when a route that needs a token got none."""

    code = "token_missing"
    title = "A token is needed"

    def __init__(self) -> None:
        super().__init__(
            "Send your token in the header `Authorization: <token>`. On your own machine one is "
            "in the file `token` of the gateway's state folder, on AWS in the table `auth`."
        )


class TokenRefusedError(ParkmeterError):
    """Raised when a token is unknown, expired or revoked; deliberately does not say which."""

    code = "token_refused"
    title = "Token refused"

    def __init__(self) -> None:
        super().__init__(
            "This token is unknown, expired or revoked. On your own machine one is in the file "
            "`token` of the gateway's state folder, on AWS in the table `auth`."
        )


class ScopeMissingError(ParkmeterError):
    """Raised when a good token may not do this; `everywhere`: it may, on some endpoints only."""

    code = "scope_missing"
    title = "This token may not do that"

    def __init__(
        self, scope: str, endpoint: str | None = None, *, everywhere: bool = False
    ) -> None:
        where = f" on endpoint {endpoint!r}" if endpoint else " on all endpoints" * everywhere
        super().__init__(f"The scope '{scope}' is needed{where}.", scope=str(scope))


class NameTakenError(ParkmeterError):
    """Raised when a token is to have the name of another one."""

    code = "name_taken"
    title = "Another token has this name"

    def __init__(self, name: str, token_id: str) -> None:
        super().__init__(
            f"The token {token_id} has the name {name!r}, and the journal tells people apart by "
            "it. Choose another name, or revoke that token first.",
            id=token_id,
        )


class UnknownTokenError(ParkmeterError):
    """Raised when no token has this id."""

    code = "unknown_token"
    title = "No such token"

    def __init__(self) -> None:
        super().__init__("There is no token with this id. All ids: GET /tokens.")


class LastAdminError(ParkmeterError):
    """Raised when the only token that can issue others is to be revoked."""

    code = "last_admin"
    title = "The last token that may issue tokens"

    def __init__(self) -> None:
        super().__init__(
            "Nobody could issue or revoke tokens any more. Issue another token with the scope "
            "'admin' for all endpoints first, then revoke this one with it."
        )


# ── The data plane ──────────────────────────────────────────────────────────────────────────────


class MeterClosedError(ParkmeterError):
    """Raised when a prompt reaches an endpoint whose meter holds no time."""

    code = "meter_closed"
    title = "The meter is closed"


class NotServingError(ParkmeterError):
    """Raised when the meter is open but the endpoint does not serve yet.

    `retry_after` is in seconds; None when nothing will happen by itself.
    """

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


class TooManyListenersError(ParkmeterError):
    """Raised when so many listen to events already that there is no room for another."""

    code = "too_many_listeners"
    title = "Too many are listening"

    def __init__(self, most: int, whose: str = "") -> None:
        listening = (
            f"{most} are listening {whose} already"
            if whose
            else (f"{most} are listening already, or the gateway stops")
        )
        super().__init__(f"{listening}. Ask GET /endpoints instead, or try again.", most=most)


class PathNotServedError(ParkmeterError):
    """Raised where a model is reached by prompts only, and another path was asked for."""

    code = "path_not_served"
    title = "No such path at this model"


class AsyncNotDeployedError(ParkmeterError):
    """Raised when an endpoint's async stack is not there; names the stack to deploy."""

    code = "async_not_deployed"
    title = "This endpoint takes no async prompts yet"

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"The async stack of this endpoint is not deployed. Run `cdk deploy {stack}`, then "
            "send this request again.",
            stack=stack,
        )


class UnknownPromptError(ParkmeterError):
    """Raised when no async prompt has this id, or not any more."""

    code = "unknown_prompt"
    title = "No such prompt"

    def __init__(self) -> None:
        super().__init__(
            "There is no async prompt with this id. Prompts and results expire some days after "
            "they were sent."
        )


class KeyBusyError(ParkmeterError):
    """Raised when the first request with an idempotency key has not been answered yet.

    `retry_after` is in seconds.
    """

    code = "key_busy"
    title = "The first request with this key is under way"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "Another request with this Idempotency-Key is being worked on, or broke off a moment "
            "ago. Send this one again a little later; it is done once."
        )
        self.retry_after = retry_after


class ModelFailedError(ParkmeterError):
    """Raised when a model answered a prompt with an error whose status is not known any more.

    `said`: its words, as far as they may be passed on.
    """

    code = "model_failed"
    title = "The model failed"

    def __init__(self, said: str) -> None:
        super().__init__("The model answered this prompt with an error.", said=said)


# ── The house ───────────────────────────────────────────────────────────────────────────────────


class ConfigError(ParkmeterError):
    """Raised when the configuration cannot be used; says file, key, value and what is right."""

    code = "config_invalid"
    title = "The configuration is not valid"


class ReloadRefusedError(ParkmeterError):
    """Raised when a changed configuration needs more than a reload; `changed` names what."""

    code = "reload_refused"
    title = "This change needs a new start of the gateway"

    def __init__(self, changed: Iterable[str]) -> None:
        found = list(changed)
        super().__init__(
            f"Only a new start of the gateway can change {', '.join(found)}. Nothing was changed; "
            "undo it and reload, or stop the gateway (with --keep its servers go on) and start it "
            "again.",
            changed=found,
        )


class NoGatewayError(ParkmeterError):
    """Raised when no gateway works in a state folder, or the one that did does not answer."""

    code = "no_gateway"
    title = "No gateway"


class StateLockedError(ParkmeterError):
    """Raised when another gateway works in this state folder."""

    code = "state_locked"
    title = "Another gateway uses this state folder"


class StoreBusyError(ParkmeterError):
    """Raised when the store could not be written in time; nothing was changed."""

    code = "store_busy"
    title = "The store is busy"

    def __init__(self) -> None:
        super().__init__(
            "The store could not take the change in time. Nothing was changed; send the same "
            "request with the same Idempotency-Key again."
        )


class ClockStoppedError(ParkmeterError):
    """Raised when nobody calls reconcile any more: meters are not watched by this gateway."""

    code = "clock_stopped"
    title = "The clock does not go round"

    def __init__(self) -> None:
        super().__init__(
            "There are answers, but the clock stands still, so no endpoint is started or stopped "
            "in time. Restart the gateway; what its servers' leashes know goes on. On AWS look "
            "into the log of the clock's function."
        )


class LogsElsewhereError(ParkmeterError):
    """Raised where logs are kept by somebody else; names the log group to look into."""

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

    `capacity`: the provider has none of what was asked for; something else may still be had.
    """

    code = "driver_failed"
    title = "The endpoint's driver failed"

    def __init__(self, detail: str, *, capacity: bool = False) -> None:
        super().__init__(detail)
        self.capacity = capacity
