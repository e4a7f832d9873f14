"""Composition of the stacks; the only module that knows all of them."""

from collections.abc import Mapping

import aws_cdk
from aws_cdk import aws_iam
from constructs import Construct

from stacks.api import ApiStack
from stacks.asynchronous import AsyncStack
from stacks.functions import Deployment, Packages
from stacks.inference import LambdaStack
from stacks.manager import EndpointManagerStack
from stacks.metered import MeteredStack
from stacks.settings import Settings

MANAGER = "EndpointManagerStack"
API = "APIStack"


def add_stacks(app: Construct, settings: Settings, packages: Packages) -> None:
    """Add all stacks of a deployment, in the order of deploying.

    Dependencies only order deploying and destroying; names are literal, nothing is exported. An
    async stack depends on nothing and nothing on it: it starts a GPU, so it is deployed by its own
    name, or by `--all`.
    """
    names, deployment = settings.names, Deployment(settings, packages)
    environment = aws_cdk.Environment(region=settings.region)

    def of(stack_id: str, description: str, *, has_table: bool = False) -> dict[str, object]:
        return {
            "stack_name": names.stack(stack_id),
            "description": f"parkmeter: {description}",
            "env": environment,
            # Not the tag of metered endpoints: with it the clock's sweep would stop the async ones.
            "tags": {**_project(settings.tags), **settings.tags},
            "termination_protection": has_table and settings.production,
        }

    metered = []
    for endpoint in settings.endpoints:
        stack_id = f"{endpoint.title}MeteredStack"
        what = of(stack_id, f"model and endpoint configurations of {endpoint.name}")
        metered.append(MeteredStack(app, stack_id, deployment, endpoint, **what))

    what = of(MANAGER, "meters, clock, start and stop of every endpoint", has_table=True)
    manager = EndpointManagerStack(app, MANAGER, deployment, **what)
    for stack in metered:
        manager.add_stack_dependency(stack, "it provisions the endpoint that this one defines")

    inference = []
    for endpoint in settings.endpoints:
        stack_id = f"{endpoint.title}LambdaStack"
        what = of(stack_id, f"prompts of {endpoint.name}")
        inference.append(LambdaStack(app, stack_id, deployment, endpoint, **what))
        inference[-1].add_stack_dependency(manager, "it reads the meters")

    what = of(API, "the REST API and its tokens", has_table=True)
    api = ApiStack(app, API, deployment, **what)
    for other in inference:
        api.add_stack_dependency(other, "it forwards prompts to this function")

    for endpoint in settings.endpoints:
        if endpoint.async_queue:
            stack_id = names.async_stack(endpoint.title)
            what = of(stack_id, f"{endpoint.name} behind a queue, scaling to zero")
            AsyncStack(app, stack_id, deployment, endpoint, **what)

    if settings.permissions_boundary is not None:
        _bound_roles(app, settings.permissions_boundary)


def _project(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tag by which `parkmeter doctor --aws` finds stacks and async endpoints."""
    taken = tags.get("project", "parkmeter") != "parkmeter"
    return {"parkmeter:project" if taken else "project": "parkmeter"}


def _bound_roles(app: Construct, policy: str) -> None:
    """Set the permissions boundary of every role, also of those that CDK adds."""
    for stack in app.node.children:
        if not isinstance(stack, aws_cdk.Stack):
            continue
        boundary = aws_iam.ManagedPolicy.from_managed_policy_arn(stack, "Boundary", policy)
        aws_iam.PermissionsBoundary.of(stack).apply(boundary)
