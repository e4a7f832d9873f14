"""Roles of least privilege, made of statements that give a reason for each wildcard.

The reason for a resource with a `*` is written into the template beside the role and given to
cdk-nag for exactly that resource. No action has a `*`. Knows neither names nor stacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import Acknowledgment, Aws, CfnResource, Validations, aws_iam
from constructs import Construct

WILDCARDS = "parkmeter:wildcards"
"""Key in a role's metadata: the reason for each resource with a `*`."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One statement. `because`: the reason for its wildcards."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    because: str = ""

    def __post_init__(self) -> None:
        if any("*" in action for action in self.actions):
            raise ValueError(f"{self.actions}: name each action")
        if self.wildcards and not self.because:
            raise ValueError(f"{self.wildcards}: a wildcard needs a reason")

    @property
    def wildcards(self) -> list[str]:
        """Return the resources that contain a `*`."""
        return [resource for resource in self.resources if "*" in resource]

    def statement(self) -> aws_iam.PolicyStatement:
        """Return CDK's form of it."""
        return aws_iam.PolicyStatement(
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=dict(self.conditions) or None,
        )


def role(scope: Construct, role_id: str, service: str, grants: Sequence[Grant]) -> aws_iam.Role:
    """Return a role of a service with exactly these grants.

    The policy is inline, not a resource of its own: what depends on the role depends on its
    permissions too, also while the stack is being destroyed.
    """
    made = aws_iam.Role(
        scope,
        role_id,
        assumed_by=aws_iam.ServicePrincipal(service),
        inline_policies={
            "grants": aws_iam.PolicyDocument(statements=[grant.statement() for grant in grants])
        },
    )
    reasons = _reasons(grants)
    if reasons:
        default = made.node.default_child
        assert isinstance(default, CfnResource)  # noqa: S101 (a role always has one)
        default.add_metadata(WILDCARDS, reasons)
        Validations.of(made).acknowledge(
            *(
                Acknowledgment(id=f"AwsSolutions-IAM5[Resource::{resource}]", reason=reason)
                for resource, reason in reasons.items()
            )
        )
    return made


def _reasons(grants: Sequence[Grant]) -> dict[str, str]:
    """Return the reasons of each resource with a `*`, spelled as cdk-nag spells it."""
    reasons: dict[str, list[str]] = {}
    for grant in grants:
        for resource in map(_readable, grant.wildcards):
            known = reasons.setdefault(resource, [])
            known += [grant.because] if grant.because not in known else []
    return {resource: "; ".join(known) for resource, known in reasons.items()}


def _readable(resource: str) -> str:
    for token, word in ((Aws.PARTITION, "Partition"), (Aws.ACCOUNT_ID, "AccountId")):
        resource = resource.replace(token, f"<AWS::{word}>")
    return resource
