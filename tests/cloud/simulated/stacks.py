"""CloudFormation's stack operations: in the order of need, in the background, with an end.

moto keeps stacks, templates and events, and speaks the protocol; it makes resources while the
request waits, deletes them in any order, and asks custom resources only at their creation. So its
three operations are replaced by these. Change sets (`cdk bootstrap`) stay moto's own.
"""

import contextlib
import copy
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

from moto.cloudformation import models, parsing

from tests.cloud.sagemaker.account import ACCOUNT
from tests.cloud.simulated.resources import Kinds, Wanted
from tests.cloud.simulated.template import in_order

ANSWERED_WITHIN = 20.0
"""Seconds that a request waits for its operation, because the CLI asks only every five."""

_LOG = logging.getLogger(__name__)


@dataclass
class Resource:
    """A resource that is there. `properties`: what it was last made from, references resolved."""

    said: dict[str, Any]
    properties: dict[str, Any]
    made: Any

    @property
    def kind(self) -> str:
        return self.said["Type"]

    @property
    def physical_id(self) -> str:
        return self.made.physical_resource_id


class _Map(parsing.ResourceMap):
    """moto's map of a stack's resources, which makes none by itself when it is looked into."""

    def __getitem__(self, name: str) -> Any:
        return self._parsed_resources[name]


class Stacks:
    """All stacks. `resources` holds what there is, by stack and logical id; read it with `lock`.

    `changes` counts, so that others know when to look again.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self.lock = lock
        self.kinds: Kinds
        self.resources: dict[str, dict[str, Resource]] = {}
        self.changes = 0
        self._started = threading.local()

    @contextlib.contextmanager
    def in_place_of_motos(self) -> Iterator[None]:
        """While this lasts, moto's stacks of our account are handled here."""
        stacks, former_delete = self, models.CloudFormationBackend.delete_stack
        motos = {name: getattr(models.Stack, name) for name in ("create_resources", "update")}
        outputs, listed = models.Stack.outputs, models.Stack.stack_resources

        def ours(stack: Any) -> bool:
            return isinstance(stack.resource_map, _Map)

        def create_resources(stack: Any) -> None:
            if stack.account_id != ACCOUNT:
                motos["create_resources"](stack)
                return
            stacks._begin(stack, "CREATE", lambda: stacks._create(stack))

        def update(stack: Any, template: str, role_arn: Any, parameters: Any, tags: Any) -> None:
            if not ours(stack):
                motos["update"](stack, template, role_arn, parameters, tags)
                return
            former = stack.template_dict
            stack.template, stack.tags = template, stack.tags if tags is None else tags
            stack.parameters = parameters or stack.parameters
            stack._parse_template()
            stacks._begin(stack, "UPDATE", lambda: stacks._update(stack, former))

        def delete_stack(backend: Any, name: str) -> None:
            found = [s for s in backend.stacks.values() if name in (s.name, s.stack_id)]
            if not found or not ours(found[0]):
                former_delete(backend, name)
                return

            def gone() -> None:
                stacks._delete(found[0])
                with stacks.lock:
                    backend.stacks.pop(found[0].stack_id)
                    backend.deleted_stacks[found[0].stack_id] = found[0]

            stacks._begin(found[0], "DELETE", gone)

        def complete_outputs(stack: Any) -> Any:
            unfinished = ours(stack) and not stack.status.endswith("_COMPLETE")
            return None if unfinished else outputs.fget(stack)

        def there(stack: Any) -> Any:
            known = stacks.resources.get(stack.name, {})
            return [r.made for r in known.values()] if ours(stack) else listed.fget(stack)

        with contextlib.ExitStack() as patches:
            for owner, name, replacement in (
                (models.Stack, "create_resources", create_resources),
                (models.Stack, "update", update),
                (models.Stack, "outputs", property(complete_outputs)),
                (models.Stack, "stack_resources", property(there)),
                (models.CloudFormationBackend, "delete_stack", delete_stack),
                # What moto does not know is remembered; its warnings would be noise, or errors.
                (parsing, "warnings", SimpleNamespace(warn=lambda *_, **__: None)),
            ):
                patches.enter_context(mock.patch.object(owner, name, replacement))
            yield

    def all(self) -> list[Resource]:
        """What there is, in all stacks."""
        with self.lock:
            return [r for known in self.resources.values() for r in known.values()]

    def settle(self) -> None:
        """Wait for the operations that this thread's request began, but not for too long."""
        for operation in self._started.__dict__.pop("operations", ()):
            operation.join(ANSWERED_WITHIN)

    # ── Operations ──────────────────────────────────────────────────────────────────────────────

    def _begin(self, stack: Any, what: str, work: Callable[[], None]) -> None:
        stack.status = f"{what}_IN_PROGRESS"
        stack._add_stack_event(stack.status, resource_status_reason="User Initiated")
        operation = threading.Thread(
            target=self._run, args=(stack, what, work), name=f"{what} {stack.name}", daemon=True
        )
        self._started.__dict__.setdefault("operations", []).append(operation)
        operation.start()

    def _run(self, stack: Any, what: str, work: Callable[[], None]) -> None:
        try:
            work()
            end = f"{what}_COMPLETE"
        except Exception as error:  # noqa: BLE001 (whatever it was, it is the stack's end)
            _LOG.info("%s %s", what, stack.name, exc_info=True)
            self._tell(stack, f"{what}_FAILED", str(error))
            end = f"{what}_FAILED"
        if end == "CREATE_FAILED":
            end = "ROLLBACK_COMPLETE"
            try:
                self._delete(stack)
            except Exception as error:  # noqa: BLE001
                self._tell(stack, "DELETE_FAILED", str(error))
                end = "ROLLBACK_FAILED"
        with self.lock:
            self.changes += 1
            if end in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                stack.output_map = stack._create_output_map()
            stack.status = end
            stack._add_stack_event(end)

    def _tell(self, stack: Any, status: str, reason: str) -> None:
        with self.lock:
            kind, name = "AWS::CloudFormation::Stack", stack.name
            event = models.Event(
                stack.stack_id, name, name, stack.stack_id, kind, status, reason, None
            )
            stack.events.append(event)

    def _create(self, stack: Any) -> None:
        with self.lock:
            self._new_map(stack)
        self._bring_about(stack, {})

    def _update(self, stack: Any, former: dict[str, Any]) -> None:
        """An update that fails is not rolled back: it stays as far as it came."""
        known = self.resources[stack.name]
        with self.lock:
            kept = stack.resource_map._parsed_resources
            self._new_map(stack)
            for name in known:
                stack.resource_map._parsed_resources[name] = kept[name]
        superseded = self._bring_about(stack, known)
        removed = [n for n in known if n not in stack.template_dict["Resources"]]
        for resource in superseded:
            if resource.said.get("UpdateReplacePolicy") != "Retain":
                self._end(stack, resource)
        for name in reversed(in_order({n: former["Resources"][n] for n in removed})):
            self._remove(stack, name)

    def _delete(self, stack: Any) -> None:
        known = self.resources.setdefault(stack.name, {})
        for name in reversed(in_order({n: known[n].said for n in known})):
            self._remove(stack, name)
        del self.resources[stack.name]

    def _bring_about(self, stack: Any, known: dict[str, Resource]) -> list[Resource]:
        """Make and change resources as the template wants them; what was superseded remains."""
        there = self.resources.setdefault(stack.name, known)
        said = stack.template_dict["Resources"]
        superseded = []
        for name in in_order(said):
            wanted = self._wanted(stack, name, said[name])
            if wanted is None:
                continue
            former, kind = there.get(name), self.kinds(wanted.kind)
            if former is None:
                made = kind.create(wanted)
            elif former.properties != wanted.properties:
                made = kind.update(former.made, former.properties, wanted)
                if made is not former.made and not kind.replaces_by_itself:
                    superseded.append(former)
            else:
                made = former.made
            with self.lock:
                made.logical_resource_id, made.cf_resource_type = name, wanted.kind
                stack.resource_map._parsed_resources[name] = made
                there[name] = Resource(said[name], wanted.properties, made)
        return superseded

    def _remove(self, stack: Any, name: str) -> None:
        resource = self.resources[stack.name][name]
        if resource.said.get("DeletionPolicy") != "Retain":
            self._end(stack, resource)
        with self.lock:
            self.resources[stack.name].pop(name)
            stack.resource_map._parsed_resources.pop(name, None)

    def _end(self, stack: Any, resource: Resource) -> None:
        name = resource.made.logical_resource_id
        wanted = Wanted(
            name, resource.kind, resource.said, resource.properties, stack.resource_map
        )
        self.kinds(resource.kind).delete(resource.made, wanted)

    def _wanted(self, stack: Any, name: str, said: dict[str, Any]) -> Wanted | None:
        """None if the resource's condition does not hold."""
        with self.lock:
            condition = said.get("Condition")
            if condition and not stack.resource_map.lazy_condition_map[condition]:
                return None
            given = copy.deepcopy(said.get("Properties", {}))
            properties = _without_nothing(parsing.clean_json(given, stack.resource_map))
        return Wanted(name, said["Type"], said, properties, stack.resource_map)

    @staticmethod
    def _new_map(stack: Any) -> None:
        stack.resource_map = _Map(
            stack.stack_id,
            stack.name,
            stack.parameters,
            stack.tags,
            account_id=stack.account_id,
            region_name=stack.region_name,
            template=stack.template_dict,
            cross_stack_resources=stack.cross_stack_resources,
        )
        stack.resource_map.load()


def _without_nothing(value: Any) -> Any:
    """`AWS::NoValue` takes its property away."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value
