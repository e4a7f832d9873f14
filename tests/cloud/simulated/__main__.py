"""`make cloud`: the seed's stacks, deployed into a simulated cloud and kept there until Ctrl-C.

Standard output has two lines for programs, `API    …` and `TOKEN  …`; all else is for people.
"""

import errno
import os
import secrets
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tests.cloud.simulated.cdk import CdkError
from tests.cloud.simulated.cloud import SimulatedCloud

PORT = "PARKMETER_CLOUD_PORT"
"""Environment: where the API is served; any free port if it is not said."""

SHOW = "PARKMETER_CLOUD_LOGS"
"""Environment: anything in it shows what the functions print."""

STACKS = (
    "FlanT5MeteredStack",
    "EndpointManagerStack",
    "FlanT5LambdaStack",
    "APIStack",
    "FlanT5AsyncStack",
)
"""In the order in which the seed deploys them."""

MINUTE = 60.0


def main() -> int:
    """Run until a signal comes; the exit status."""
    # Like Ctrl-C, so that everything is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    printed: deque[str] = deque(maxlen=25)
    try:
        with SimulatedCloud(port=_port(), say=printed.append, show=_show) as cloud:
            token = _deploy(cloud)
            print(f"API    {cloud.url}/prod", flush=True)
            print(f"TOKEN  {token}", flush=True)
            _show_how(f"{cloud.url}/prod", token)
            _keep_time(cloud)
    except KeyboardInterrupt:
        _say("Everything has been ended.")
        return 0
    except CdkError as error:
        _say(str(error))
        return 1
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _say(f"The simulated cloud cannot start: port {_port()} is taken")
        return 1


def _port() -> int:
    said = os.environ.get(PORT, "0")
    if not said.isdecimal() or int(said) > 65535:
        _say(f"{PORT}={said}: a port is a number up to 65535")
        sys.exit(2)
    return int(said)


def _deploy(cloud: SimulatedCloud) -> str:
    """Everything the seed does up to its first `curl`; the token."""
    _say("A simulated cloud on this machine. No AWS account is used.")
    with _timed("cdk bootstrap"):
        cloud.cdk.bootstrap()
    with _timed("cdk synth"):
        cloud.cdk.synth()
    for stack in STACKS:
        with _timed(f"cdk deploy {stack}"):
            cloud.cdk.deploy(stack)
    token = secrets.token_urlsafe(24)
    cloud.client("dynamodb").put_item(TableName="auth", Item={"token": {"S": token}})
    return token


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    _say(f"  {what:<34} {time.monotonic() - started:5.1f} s")


def _show_how(api: str, token: str) -> None:
    _say(f"""
The endpoint has been provisioned with its first hour, and starts. In another terminal:

  curl {api}/endpoint-expiry -H 'Authorization: {token}'
  curl {api}/endpoint-expiry -H 'Authorization: {token}' -H 'Content-Type: application/json' \\
    -d '{{"minutes": 10}}'
  curl {api}/flan -H 'Authorization: {token}' -H 'Content-Type: application/json' \\
    -d '{{"text_inputs": "How long may I park here?", "max_length": 50}}'

Ctrl-C ends it. To see what the functions print: make cloud {SHOW}=1""")


def _keep_time(cloud: SimulatedCloud) -> NoReturn:
    """EventBridge's minute, until a signal comes."""
    never = threading.Event()
    while True:
        never.wait(MINUTE)
        cloud.tick()


def _show(function: str, line: str) -> None:
    if os.environ.get(SHOW):
        _say(f"{function}: {line}")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
