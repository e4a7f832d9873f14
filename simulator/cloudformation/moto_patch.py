"""A patch of moto's CloudFormation that hands stack operations of our account to `Stacks`.

moto creates resources while the request waits, deletes them in any order, and invokes custom
resources only at creation. Its protocol, events and change sets (`cdk bootstrap`) stay.
"""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

from moto.cloudformation import models, parsing, responses
from moto.cloudformation.exceptions import ValidationError
from moto.core.responses import ActionResult

from simulator.cloudformation.stacks import Stacks
from simulator.sagemaker.account import ACCOUNT


@contextlib.contextmanager
def patched_moto(stacks: Stacks) -> Iterator[None]:
    """Route moto's stack operations to `stacks` while entered."""
    stack_type, backend_type = models.Stack, models.CloudFormationBackend
    moto_create, moto_update = stack_type.create_resources, stack_type.update
    moto_outputs, moto_resources = stack_type.outputs, stack_type.stack_resources
    moto_delete = backend_type.delete_stack

    def create_resources(stack: Any) -> None:
        if stack.account_id != ACCOUNT:
            moto_create(stack)
            return
        # An update may use the previous value of a parameter that was never given.
        parameters = stack.template_dict.get("Parameters", {})
        defaults = {name: p["Default"] for name, p in parameters.items() if "Default" in p}
        stack.parameters = {**defaults, **stack.parameters}
        stacks.create(stack)

    def update(stack: Any, template: str, role_arn: Any, parameters: Any, tags: Any) -> None:
        if not stacks.ours(stack):
            moto_update(stack, template, role_arn, parameters, tags)
            return
        stack.template = template
        stack._parse_template()
        stack.parameters = parameters or stack.parameters
        stack.tags = stack.tags if tags is None else tags
        stacks.update(stack)

    def delete_stack(backend: Any, name: str) -> None:
        for stack in list(backend.stacks.values()):
            if name in (stack.name, stack.stack_id) and stacks.ours(stack):
                _check_not_protected(stack)
                stacks.delete(stack, lambda deleted=stack: _mark_deleted(backend, deleted))
                return
        moto_delete(backend, name)

    def outputs(stack: Any) -> Any:
        # moto would create the resources they refer to, if missing.
        complete = stack.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
        return moto_outputs.fget(stack) if complete or not stacks.ours(stack) else None

    def stack_resources(stack: Any) -> Any:
        if not stacks.ours(stack):
            return moto_resources.fget(stack)
        return [r.created for r in stacks.resources.get(stack.name, {}).values()]

    with contextlib.ExitStack() as patches:
        for owner, name, replacement in (
            (stack_type, "create_resources", create_resources),
            (stack_type, "update", update),
            (stack_type, "outputs", property(outputs)),
            (stack_type, "stack_resources", property(stack_resources)),
            (backend_type, "delete_stack", delete_stack),
            # Kinds unknown to moto are stored; its warnings would be noise, or errors.
            (parsing, "warnings", SimpleNamespace(warn=lambda *_, **__: None)),
            (parsing, "logger", SimpleNamespace(warning=lambda *_, **__: None)),
        ):
            patches.enter_context(mock.patch.object(owner, name, replacement))
        action, requests = _update_termination_protection, responses.CloudFormationResponse
        patches.enter_context(
            mock.patch.object(requests, "update_termination_protection", action, create=True)
        )
        yield


def _mark_deleted(backend: Any, stack: Any) -> None:
    backend.stacks.pop(stack.stack_id, None)
    backend.deleted_stacks[stack.stack_id] = stack


def _check_not_protected(stack: Any) -> None:
    if stack.enable_termination_protection:
        message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        raise ValidationError(message=message)


def _update_termination_protection(request: Any) -> ActionResult:
    """Answer an action that moto lacks."""
    stack = request.cloudformation_backend.get_stack(request._get_param("StackName"))
    stack.enable_termination_protection = request._get_param("EnableTerminationProtection")
    return ActionResult({"StackId": stack.stack_id})
