"""How one endpoint is started: its commands and limits, its environment and its user."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from parkmeter.core.server_environment import PASSED_ON, held_back
from parkmeter.errors import DriverError

try:
    import pwd
except ImportError:  # pragma: no cover (a system without such accounts)
    pwd = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Launch:
    """Commands and limits to start and stop one endpoint.

    `{port}` in any argument of the commands becomes the port to listen on (127.0.0.1). Ready when
    `GET health` answers 200 within `health_timeout`; failed if it does not within `start_timeout`.
    To stop it, `stop_command` is run, or SIGTERM sent to its process group; after `stop_grace`,
    SIGKILL. A ready server is to pass its health check once within `liveness`, if that is set.

    `environment` is added to the gateway's own, of which the server gets neither what is about the
    gateway nor, unless named in `environment_from`, what looks like a secret or was `read` by the
    configuration. `user`: the account to run as, for a gateway that runs as root.
    """

    command: tuple[str, ...]
    stop_command: tuple[str, ...] | None = None
    health: str = "/ping"
    health_timeout: timedelta = timedelta(seconds=5)
    start_timeout: timedelta = timedelta(minutes=10)
    stop_grace: timedelta = timedelta(seconds=10)
    liveness: timedelta | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_from: tuple[str, ...] = PASSED_ON
    environment_read: frozenset[str] = frozenset()
    user: str | None = None
    working_folder: Path | None = None


def child_settings(launch: Launch | None) -> dict[str, Any]:
    """Return the settings of every process of a run, in the form of a leash's orders."""
    if launch is None:
        return {"environment": {}, "working_folder": None, "user": None}
    user, folder, environment = _user_of(launch.user), launch.working_folder, launch.environment
    if user is not None:
        home = user["home"]
        # The gateway's folder may be closed to it.
        folder = folder or Path(home if Path(home).is_dir() else "/")
        known = {"HOME": home, "USER": user["name"], "LOGNAME": user["name"]}
        environment = known | dict(environment)
    return {
        "environment": dict(environment),
        "working_folder": str(folder) if folder else None,
        "user": user,
    }


def environment_for(launch: Launch | None) -> dict[str, str]:
    """Return the variables of this process's environment that a server gets."""
    launch = launch or Launch(())
    secret = held_back(os.environ, launch.environment_read, launch.environment_from)
    return {name: value for name, value in os.environ.items() if name not in secret}


def _user_of(name: str | None) -> dict[str, Any] | None:
    """Return the ids of the user a server runs as, with its home; None: the gateway's own.

    Raises:
        DriverError: there is no such user, or this process may not become another one.

    """
    if name is None:
        return None
    try:
        account = pwd.getpwnam(name)
    except (KeyError, AttributeError):
        raise DriverError(f"It cannot run as user {name!r}: there is no such user.") from None
    if account.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise DriverError(
            f"It cannot run as user {name!r}: only a gateway that runs as root can start a server "
            "as another user."
        )
    return {
        "name": name,
        "uid": account.pw_uid,
        "gid": account.pw_gid,
        "groups": os.getgrouplist(name, account.pw_gid),
        "home": account.pw_dir,
    }
