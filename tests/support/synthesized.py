"""Stacks as templates, and queries over them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk
from aws_cdk import aws_lambda

from stacks.project import add_stacks
from stacks.settings import Settings

Resource = dict[str, Any]


class NoPackages:
    """A stand-in for built packages, whose code is the name of the module."""

    def code(self, module: str) -> aws_lambda.Code:
        return aws_lambda.Code.from_inline(f"# {module}")


@dataclass(frozen=True)
class Templates:
    """Templates by stack id.

    `messages`: what the CDK command prints when it synthesizes the stack: level and text.
    `protected`: whether the stack has termination protection.
    """

    settings: Settings
    folder: Path
    by_stack: Mapping[str, dict[str, Any]]
    names: Mapping[str, str]
    dependencies: Mapping[str, set[str]]
    messages: Mapping[str, list[tuple[str, str]]]
    protected: Mapping[str, bool]
    tags: Mapping[str, dict[str, str]]

    def of_type(self, stack: str, kind: str) -> dict[str, Resource]:
        return {
            logical_id: resource
            for logical_id, resource in self.by_stack[stack]["Resources"].items()
            if resource["Type"] == kind
        }

    def one(self, stack: str, kind: str, **properties: Any) -> Resource:
        """Return the only resource of a type with these properties."""
        found = [
            resource
            for resource in self.of_type(stack, kind).values()
            if all(resource["Properties"].get(key) == value for key, value in properties.items())
        ]
        assert len(found) == 1, f"{len(found)} of {kind} with {properties} in {stack}"
        return found[0]

    def everything(self) -> Iterator[tuple[str, str, Resource]]:
        for stack, template in self.by_stack.items():
            for logical_id, resource in template["Resources"].items():
                yield stack, logical_id, resource

    def statements(self, stack: str, role_of: str) -> list[dict[str, Any]]:
        """Return the statements of a role's policies; `role_of` is the start of its logical id."""
        roles = [
            resource
            for logical_id, resource in self.of_type(stack, "AWS::IAM::Role").items()
            if logical_id.startswith(role_of)
        ]
        assert len(roles) == 1, f"{len(roles)} roles {role_of} in {stack}"
        return [
            {**statement, "Action": listed(statement["Action"])}
            for policy in roles[0]["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]

    def actions(self, stack: str, role_of: str) -> set[str]:
        return {
            action
            for statement in self.statements(stack, role_of)
            for action in statement["Action"]
        }


def synthesized(
    settings: Settings, folder: Path, context: Mapping[str, Any], *plugins: Any
) -> Templates:
    app = aws_cdk.App(outdir=str(folder), context=dict(context))
    add_stacks(app, settings, NoPackages())
    for plugin in plugins:
        aws_cdk.Validations.of(app).add_plugins(plugin(app))
    assembly = app.synth()
    return Templates(
        settings,
        folder,
        {stack.hierarchical_id: stack.template for stack in assembly.stacks},
        {stack.hierarchical_id: stack.stack_name for stack in assembly.stacks},
        {
            stack.hierarchical_id: {
                needed.hierarchical_id
                for needed in stack.dependencies
                if hasattr(needed, "template")
            }
            for stack in assembly.stacks
        },
        {stack.hierarchical_id: _messages(stack) for stack in assembly.stacks},
        {stack.hierarchical_id: bool(stack.termination_protection) for stack in assembly.stacks},
        {stack.hierarchical_id: dict(stack.tags) for stack in assembly.stacks},
    )


def _messages(stack: Any) -> list[tuple[str, str]]:
    return [(one.level.value.lower(), str(one.entry.data)) for one in stack.messages]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def flat(value: Any) -> str:
    """Return a value with CloudFormation's functions as text: `{"Ref": "X"}` becomes `<X>`."""
    match value:
        case {"Ref": str(name)}:
            return f"<{name}>"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [str(between), list(parts)]}:
            return between.join(map(flat, parts))
        case _:
            return str(value)
