"""`aws` commands of the pages, as calls of boto3: the command line itself is not installed.

A command is valid if the service, the operation, each option and each value's type exist in
botocore's models, and nothing that the operation requires is missing.
"""

import json
import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name
from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator

CUSTOM = {("logs", "tail"), ("cloudformation", "deploy")}
"""Commands of the command line that are no operation."""

_RENAMED = {("Subscribe", "notification-endpoint"): "endpoint"}
"""Options that the command line names otherwise than the service."""

_GLOBAL = {"--region", "--query", "--output", "--profile"}
_ONLY_OF_THE_COMMAND_LINE = {"--cli-binary-format"}


_FENCED = re.compile(r"^\$ (aws (?:.*\\\n)*.*)$", re.MULTILINE)
_INLINE = re.compile(r"`(aws [^`]*?)(?: > [^`]*)?`")


def commands_in(text: str) -> list[str]:
    """Return the commands of a page, or of a part: those of its code, then those in its prose.

    In prose, one that is abbreviated or has no option is only mentioned.
    """
    inline = (" ".join(found.split()) for found in _INLINE.findall(text))
    return [*_FENCED.findall(text), *(one for one in inline if "…" not in one and " --" in one)]


class InvalidCommandError(Exception):
    """Raised for a command that the command line would refuse."""


@dataclass(frozen=True)
class AwsCommand:
    """A command. `custom`: it is none of the services' operations."""

    service: str
    operation: str
    parameters: dict[str, Any]
    query: str | None = None
    region: str | None = None
    custom: bool = False

    def run(self, client: Any) -> Any:
        """Call the operation; return its answer, by the query if there is one."""
        answer = getattr(client, xform_name(self.operation))(**self.parameters)
        answer.pop("ResponseMetadata", None)
        return jmespath.search(self.query, answer) if self.query else answer


def parse(command: str) -> AwsCommand:
    """Return a command as typed, with continued lines.

    Raises:
        InvalidCommandError: says what is wrong.

    """
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    if words[:1] != ["aws"] or len(words) < 3:
        raise InvalidCommandError(f"no aws command: {command}")
    service, operation, rest = words[1], words[2], words[3:]
    if (service, operation) in CUSTOM:
        return AwsCommand(service, operation, {}, custom=True)
    model = _operations(service).get(operation)
    if model is None:
        raise InvalidCommandError(f"{service} has no operation {operation}")
    given = _options(rest, model)
    query, region = given.pop("--query", None), given.pop("--region", None)
    if query:
        jmespath.compile(query)
    shape = model.input_shape
    members = {} if shape is None else _members(shape)
    parameters: dict[str, Any] = {}
    for option, value in given.items():
        if option in _GLOBAL | _ONLY_OF_THE_COMMAND_LINE:
            continue
        name = option.removeprefix("--")
        name = _RENAMED.get((model.name, name), name)
        wanted = not name.startswith("no-") or name in members
        member = members.get(name if wanted else name.removeprefix("no-"))
        if member is None:
            raise InvalidCommandError(f"{service} {operation} has no {option}")
        parameters[member.name] = _value(member.shape, value if wanted else "false")
    if shape is not None:
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise InvalidCommandError(f"{service} {operation}: {report.generate_report()}")
    return AwsCommand(service, model.name, parameters, query, region)


@dataclass(frozen=True)
class _Member:
    name: str
    shape: Shape


@cache
def _operations(service: str) -> dict[str, OperationModel]:
    try:
        model = botocore.session.get_session().get_service_model(service)
    except Exception as error:
        raise InvalidCommandError(f"there is no service {service}") from error
    return {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}


def _members(shape: Shape) -> dict[str, _Member]:
    return {xform_name(name, "-"): _Member(name, one) for name, one in shape.members.items()}


def _options(words: list[str], model: OperationModel) -> dict[str, Any]:
    given: dict[str, Any] = {}
    option = ""
    for word in words:
        if word.startswith("--"):
            option = word
            given[option] = []
        elif option:
            given[option].append(word)
        elif model.has_streaming_output or model.name == "Invoke":
            continue  # the file for the answer
        else:
            raise InvalidCommandError(f"{model.name}: {word!r} belongs to no option")
    if model.name == "Invoke":
        # The last word is the file for the answer.
        given = {name: values[:1] for name, values in given.items()}
    return {name: _joined(values) for name, values in given.items()}


def _joined(values: list[str]) -> Any:
    return "true" if not values else values[0] if len(values) == 1 else values


def _value(shape: Shape, given: Any) -> Any:
    match shape.type_name:
        case "list":
            texts = given if isinstance(given, list) else [given]
            return [_value(shape.member, text) for text in texts]
        case "structure" | "map":
            return json.loads(given) if given.lstrip().startswith("{") else _pairs(shape, given)
        case "integer" | "long":
            return int(given)
        case "double" | "float":
            return float(given)
        case "boolean":
            return given == "true"
        case "timestamp":
            return datetime.fromisoformat(given)
        case "blob":
            return given.encode()
        case _:
            return given


def _pairs(shape: Shape, given: str) -> dict[str, Any]:
    """Return a structure in the short form: `Key=value,Other=value`."""
    found = dict(re.findall(r"(\w+)=([^,]+)", given))
    if shape.type_name == "map":
        return found
    return {name: _value(shape.members[name], text) for name, text in found.items()}
