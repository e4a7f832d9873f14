"""`make cloud`: the seed's stacks, deployed into a simulated cloud and kept there until Ctrl-C.

Standard output has two lines for programs, `API    …` and `TOKEN  …`; all else is for people.
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

from simulator.cdk import CdkError
from simulator.cdk_assembly import Assembly
from simulator.cloud import SimulatedCloud
from simulator.lambda_runtime.process import MissingRuntimeError
from simulator.sagemaker.account import REGION

PORT = "PARKMETER_CLOUD_PORT"
"""Environment: where the API is served; any free port if it is not said."""

SHOW = "PARKMETER_CLOUD_LOGS"
"""Environment: anything in it shows what the functions print."""

MINUTE = 60.0

SCOPES = ("admin", "invoke", "top-up")
"""Of the token: whoever runs the cloud may try everything."""


class ElsewhereError(Exception):
    """`app.py` goes to another region than the simulated one."""

    def __str__(self) -> str:
        return f"The simulated cloud is in {REGION}; set region={REGION!r} in app.py to try it here"


def main() -> int:
    """Run until a signal comes; the exit status."""
    # Like Ctrl-C, so that everything is ended on the way out.
    # SIGINT too: a shell that starts us in the background has it ignored.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    printed: deque[str] = deque(maxlen=25)
    try:
        with SimulatedCloud(port=_port(), say=printed.append, show=_show) as cloud:
            token = _deploy(cloud)
            print(f"API    {cloud.url}/prod", flush=True)
            print(f"TOKEN  {token}", flush=True)
            _show_how(cloud, f"{cloud.url}/prod", token)
            _keep_time(cloud)
    except KeyboardInterrupt:
        _say("Everything has been ended.")
        return 0
    except (CdkError, ElsewhereError, MissingRuntimeError) as error:
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
    assembly = cloud.cdk.assembly
    if assembly.regions() != {REGION}:
        raise ElsewhereError
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
    raise CdkError("app.py makes no table of tokens")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    _say(f"  {what:<34} {time.monotonic() - started:5.1f} s")


def _show_how(cloud: SimulatedCloud, api: str, token: str) -> None:
    one = _a_definition(cloud)
    parameter = f"/{one['endpoint'].removesuffix('-' + one['name'])}/expiry/{one['name']}"
    prompts, json_body = f"{api}/{one['api_resource']}", "-H 'Content-Type: application/json'"
    settings = " ".join(f"{name}={value}" for name, value in cloud.environment().items())
    _say(f"""
{one["name"]} has been provisioned with its first minutes, and starts. In another terminal:

  curl {api}/endpoint-expiry -H 'Authorization: {token}'
  curl {api}/endpoint-expiry -H 'Authorization: {token}' {json_body} \\
    -d '{{"EndpointName": "{one["name"]}", "minutes": 10}}'
  curl {prompts} -H 'Authorization: {token}' {json_body} \\
    -d '{{"text_inputs": "write a story about beautiful weather on a tropical island."}}'

The services behind it, for the AWS command line and for boto3:

  export {settings}
  aws ssm get-parameter --name {parameter} --query Parameter.Value --output text

Ctrl-C ends it. To see what the functions print: make cloud {SHOW}=1""")


def _a_definition(cloud: SimulatedCloud) -> dict[str, str]:
    """What the first metered stack wrote."""
    ssm = cloud.client("ssm")
    for page in ssm.get_paginator("describe_parameters").paginate():
        for parameter in page["Parameters"]:
            if "/endpoints/" in parameter["Name"]:
                said = ssm.get_parameter(Name=parameter["Name"])["Parameter"]["Value"]
                definition: dict[str, str] = json.loads(said)
                return definition
    raise CdkError("app.py defines no endpoint")


def _keep_time(cloud: SimulatedCloud) -> NoReturn:
    """EventBridge's minute, until a signal comes."""
    never = threading.Event()
    while True:
        cloud.tick()
        never.wait(MINUTE)


def _show(function: str, line: str) -> None:
    if os.environ.get(SHOW):
        _say(f"{function}: {line}")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
