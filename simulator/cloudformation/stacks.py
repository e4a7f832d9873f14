"""CloudFormation's stack operations: in the order of need, in the background, with an end.

Works on moto's stacks, which keep templates, parameters, status and events. Knows no kind of
resource, and not how the operations come to be called.
"""

import copy
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.cloudformation import models, parsing

from simulator.cloudformation.resources import Kind, Kinds, ResourceError, Wanted
from simulator.cloudformation.template import in_order

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

    def all(self) -> list[Resource]:
        """What there is, in all stacks."""
        with self.lock:
            return [r for known in self.resources.values() for r in known.values()]

    def settle(self) -> None:
        """Wait for the operations that this thread's request began, but not for too long."""
        for operation in self._started.__dict__.pop("operations", ()):
            operation.join(ANSWERED_WITHIN)

    def create(self, stack: Any) -> None:
        """Begin to make a new stack's resources. To be called with `lock`, like all three."""
        self._new_map(stack)
        self._begin(stack, "CREATE", lambda: self._bring_about(stack, {}))

    def update(self, stack: Any) -> None:
        """Begin to bring a stack's resources to its template, which has changed."""
        self._new_map(stack)
        self._begin(stack, "UPDATE", lambda: self._update(stack))

    def delete(self, stack: Any, then: Callable[[], None]) -> None:
        """Begin to delete a stack's resources; `then` is called when all are gone."""

        def work() -> None:
            self._delete(stack)
            with self.lock:
                then()

        self._begin(stack, "DELETE", work)

    @staticmethod
    def ours(stack: Any) -> bool:
        """Whether its resources were made here; moto makes those of change sets by itself."""
        return isinstance(stack.resource_map, _Map)

    # ── Operations ──────────────────────────────────────────────────────────────────────────────

    def _begin(self, stack: Any, what: str, work: Callable[[], object]) -> None:
        stack.status = f"{what}_IN_PROGRESS"
        stack._add_stack_event(stack.status, resource_status_reason="User Initiated")
        operation = threading.Thread(
            target=self._run, args=(stack, what, work), name=f"{what} {stack.name}", daemon=True
        )
        self._started.__dict__.setdefault("operations", []).append(operation)
        operation.start()

    def _run(self, stack: Any, what: str, work: Callable[[], object]) -> None:
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

    def _update(self, stack: Any) -> None:
        """An update that fails is not rolled back: it stays as far as it came."""
        known = self.resources[stack.name]
        superseded = self._bring_about(stack, known)
        for resource in reversed(superseded):
            if resource.said.get("UpdateReplacePolicy") != "Retain":
                self._end(stack, resource)
        wanted = stack.template_dict["Resources"]
        removed = {name: known[name].said for name in known if name not in wanted}
        for name in reversed(in_order(removed)):
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
                made = self._created(stack, kind, wanted)
            elif former.properties != wanted.properties:
                made = kind.update(former.made, former.properties, wanted)
                if made is not former.made and not kind.replaces_by_itself:
                    superseded.append(former)
            else:
                made = former.made
            self._keep(stack, wanted, made)
        return superseded

    def _created(self, stack: Any, kind: Kind, wanted: Wanted) -> Any:
        try:
            return kind.create(wanted)
        except ResourceError as error:
            if error.made is not None:
                self._keep(stack, wanted, error.made)
            raise

    def _keep(self, stack: Any, wanted: Wanted, made: Any) -> None:
        with self.lock:
            made.logical_resource_id, made.cf_resource_type = wanted.logical_id, wanted.kind
            stack.resource_map._parsed_resources[wanted.logical_id] = made
            kept = Resource(dict(wanted.said), wanted.properties, made)
            self.resources[stack.name][wanted.logical_id] = kept

    def _remove(self, stack: Any, name: str) -> None:
        resource = self.resources[stack.name][name]
        if resource.said.get("DeletionPolicy") != "Retain":
            self._end(stack, resource)
        with self.lock:
            self.resources[stack.name].pop(name)
            stack.resource_map._parsed_resources.pop(name, None)

    def _end(self, stack: Any, resource: Resource) -> None:
        name = resource.made.logical_resource_id
        wanted = Wanted(name, resource.kind, resource.said, resource.properties, stack.resource_map)
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

    def _new_map(self, stack: Any) -> None:
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
        for name, resource in self.resources.get(stack.name, {}).items():
            stack.resource_map._parsed_resources[name] = resource.made


def _without_nothing(value: Any) -> Any:
    """`AWS::NoValue` takes its property away."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value
