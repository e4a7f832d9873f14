"""The command behind `make cloud`: the stacks of `app.py` in a simulated cloud, until Ctrl-C.

Standard output has two lines for programs, `API    …` and `TOKEN  …`; the rest, for people, goes
to standard error.
"""

import errno
import json
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

from simulator.cdk_assembly import Assembly
from simulator.cdk_command import CdkError
from simulator.cloud import SimulatedCloud
from simulator.lambda_runtime.process import MissingRuntimeError
from simulator.sagemaker.account import REGION

PORT = "PARKMETER_CLOUD_PORT"
"""Environment: the port of the API; a free one by default."""

SHOW = "PARKMETER_CLOUD_LOGS"
"""Environment: if not empty, the output of the functions is shown."""

HIGHEST_PORT = 65535
MINUTE = 60.0

SCOPES = ("admin", "invoke", "top-up")
"""Scopes of the token: the user of the cloud may try everything."""


class WrongRegionError(Exception):
    """Raised when `app.py` deploys to another region than the simulated one."""

    def __str__(self) -> str:
        return f"The simulated cloud is in {REGION}; set region={REGION!r} in app.py to try it here"


def main() -> int:
    """Run until a signal arrives; return the exit status."""
    # As Ctrl-C does, so that the exit closes everything.
    # SIGINT too: a shell ignores it for its background jobs.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    lines: deque[str] = deque(maxlen=25)
    try:
        with SimulatedCloud(port=_port(), log_cdk=lines.append, log_function=_show_output) as cloud:
            token = _deploy(cloud)
            print(f"API    {cloud.url}/prod", flush=True)
            print(f"TOKEN  {token}", flush=True)
            _print_usage(cloud, f"{cloud.url}/prod", token)
            _tick_each_minute(cloud)
    except KeyboardInterrupt:
        _print("Everything is stopped.")
        return 0
    except (CdkError, WrongRegionError, MissingRuntimeError) as error:
        _print(str(error))
        return 1
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _print(f"The simulated cloud cannot start: port {_port()} is in use")
        return 1


def _port() -> int:
    port = os.environ.get(PORT, "0")
    if not port.isdecimal() or int(port) > HIGHEST_PORT:
        _print(f"{PORT}={port}: a port is a number up to {HIGHEST_PORT}")
        sys.exit(2)
    return int(port)


def _deploy(cloud: SimulatedCloud) -> str:
    """Bootstrap, synthesize, deploy every stack and create a token; return the token."""
    _print("A simulated cloud on this machine. No AWS account is used.")
    with _timed("cdk bootstrap"):
        cloud.cdk.bootstrap()
    with _timed("cdk synth"):
        cloud.cdk.synth()
    assembly = cloud.cdk.assembly
    if assembly.regions() != {REGION}:
        raise WrongRegionError
    for stack in assembly.stacks():
        with _timed(f"cdk deploy {stack}"):
            cloud.cdk.deploy(stack)
    token = secrets.token_urlsafe(24)
    item = {"token": {"S": token}, "scopes": {"L": [{"S": scope} for scope in SCOPES]}}
    cloud.client("dynamodb").put_item(TableName=_auth_table(assembly), Item=item)
    return token


def _auth_table(assembly: Assembly) -> str:
    for table in assembly.resources("AWS::DynamoDB::Table"):
        if table["KeySchema"][0]["AttributeName"] == "token":
            name: str = table["TableName"]
            return name
    raise CdkError("app.py defines no table of tokens")


@contextmanager
def _timed(command: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    _print(f"  {command:<34} {time.monotonic() - started:5.1f} s")


def _print_usage(cloud: SimulatedCloud, api: str, token: str) -> None:
    endpoint = _first_definition(cloud)
    parameter = (
        f"/{endpoint['endpoint'].removesuffix('-' + endpoint['name'])}/expiry/{endpoint['name']}"
    )
    prompts, json_body = f"{api}/{endpoint['api_resource']}", "-H 'Content-Type: application/json'"
    settings = " ".join(f"{name}={value}" for name, value in cloud.environment().items())
    _print(f"""
{endpoint["name"]} is starting, with its first minutes on the meter. In another terminal:

  curl {api}/endpoint-expiry -H 'Authorization: {token}'
  curl {api}/endpoint-expiry -H 'Authorization: {token}' {json_body} \\
    -d '{{"EndpointName": "{endpoint["name"]}", "minutes": 10}}'
  curl {prompts} -H 'Authorization: {token}' {json_body} \\
    -d '{{"text_inputs": "write a story about beautiful weather on a tropical island."}}'

The services behind it, for the AWS command line and for boto3:

  export {settings}
  aws ssm get-parameter --name {parameter} --query Parameter.Value --output text

Ctrl-C stops it. To see the output of the functions: make cloud {SHOW}=1""")


def _first_definition(cloud: SimulatedCloud) -> dict[str, str]:
    """Return the definition that the first metered stack wrote to SSM."""
    ssm = cloud.client("ssm")
    for page in ssm.get_paginator("describe_parameters").paginate():
        for parameter in page["Parameters"]:
            if "/endpoints/" in parameter["Name"]:
                value = ssm.get_parameter(Name=parameter["Name"])["Parameter"]["Value"]
                definition: dict[str, str] = json.loads(value)
                return definition
    raise CdkError("app.py defines no endpoint")


def _tick_each_minute(cloud: SimulatedCloud) -> NoReturn:
    """Fire EventBridge's schedules once a minute until a signal arrives."""
    never = threading.Event()
    while True:
        cloud.tick()
        never.wait(MINUTE)


def _show_output(function: str, line: str) -> None:
    if os.environ.get(SHOW):
        _print(f"{function}: {line}")


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
