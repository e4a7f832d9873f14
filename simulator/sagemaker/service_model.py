"""Validation of every request and answer by botocore's service model.

botocore itself validates what a client must send: required members, types, no unknown ones. The
service also refuses by length, range, pattern and enumeration, and so does this module. An answer
of the simulator that violates the model is a bug, never a refusal.
"""

import re
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

# Syntax of Java's regular expressions that Python's lack.
_JAVA = (
    (r"\p{L}\p{Z}\p{N}", r"\w\s"),
    (r"\p{ASCII}", r"[\x00-\x7f]"),
    (r"[\p{Print}]", r"[\x20-\x7e]"),
    (r"\z", r"\Z"),
)


class InventedAnswerError(AssertionError):
    """Raised for an answer of the simulator that SageMaker cannot give."""


@cache
def service(name: str) -> ServiceModel:
    """Return the service model of `sagemaker` or `sagemaker-runtime`."""
    return botocore.session.get_session().get_service_model(name)


@cache
def errors_of(name: str) -> dict[str, Shape]:
    """Return a service's modelled errors; cached, as the search is through thousands of shapes."""
    return {shape.name: shape for shape in service(name).error_shapes}


def mistakes_of(request: dict[str, Any], operation: OperationModel) -> str | None:
    """Return the service's message for invalid parameters; None if they are valid."""
    report = ParamValidator().validate(request, operation.input_shape)
    if report.has_errors():
        return report.generate_report()
    violations = list(_violations(operation.input_shape, request, ""))
    if not violations:
        return None
    many = "error" if len(violations) == 1 else "errors"
    return f"{len(violations)} validation {many} detected: {'; '.join(violations)}"


def hold_to_model(answer: dict[str, Any], operation: OperationModel) -> None:
    """Raise InventedAnswerError unless the model allows this answer of the operation."""
    if operation.output_shape is not None:
        hold_to_shape(answer, operation.output_shape)
    elif answer:
        raise InventedAnswerError(f"{operation.name} has an empty answer, not {answer}")


def hold_to_shape(value: dict[str, Any], shape: Shape) -> None:
    """Raise InventedAnswerError unless the value has this shape."""
    report = ParamValidator().validate(value, shape)
    found = [report.generate_report()] if report.has_errors() else []
    found += [] if found else _violations(shape, value, "")
    if found:
        raise InventedAnswerError(f"{shape.name}: {'; '.join(found)}")


def _violations(shape: Shape, value: Any, path: str) -> list[str]:
    match shape.type_name:
        case "structure":
            found = []
            for name, item in value.items():
                member = f"{path}.{name}" if path else name
                found += _violations(
                    shape.members[name],
                    item,
                    member[0].lower() + member[1:] if not path else member,
                )
            return found
        case "list":
            found = _size(shape, len(value), value, path, "length")
            for number, item in enumerate(value, 1):
                found += _violations(shape.member, item, f"{path}.{number}.member")
            return found
        case "map":
            return [
                line for item in value.values() for line in _violations(shape.value, item, path)
            ]
        case "string":
            return _size(shape, len(value), value, path, "length") + _text(shape, value, path)
        case "blob":
            return _size(shape, len(value), "…", path, "length")
        case "integer" | "long" | "float" | "double":
            return _size(shape, value, value, path, "value")
        case _:
            return []


def _size(shape: Shape, size: float, value: Any, path: str, what: str) -> list[str]:
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if lowest is not None and size < lowest:
        return [_constraint(value, path, f"have {what} greater than or equal to {lowest}")]
    if highest is not None and size > highest:
        return [_constraint(value, path, f"have {what} less than or equal to {highest}")]
    return []


def _text(shape: Shape, value: str, path: str) -> list[str]:
    allowed, pattern = shape.enum, shape.metadata.get("pattern")
    if allowed and value not in allowed:
        return [_constraint(value, path, f"satisfy enum value set: [{', '.join(allowed)}]")]
    if pattern and not _pattern(pattern).fullmatch(value):
        rule = f"satisfy regular expression pattern: {pattern}"
        return [_constraint(value, path, rule)]
    return []


def _constraint(value: Any, path: str, must: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {must}"


@cache
def _pattern(java: str) -> re.Pattern[str]:
    for theirs, ours in _JAVA:
        java = java.replace(theirs, ours)
    return re.compile(java)


def plain(value: Any) -> Any:
    """Convert a value to JSON's types; times become seconds with milliseconds."""
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
