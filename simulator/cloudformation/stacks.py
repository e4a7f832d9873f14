"""CloudFormation's stack operations: in dependency order, in the background.

Works on moto's stacks, which hold templates, parameters, status and events. Knows no kind of
resource.
"""

import copy
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.cloudformation import models, parsing

from simulator.cloudformation.resources import Declared, ResourceError, ResourceKind, ResourceKinds
from simulator.cloudformation.template import in_order

REQUEST_WAIT = 20.0
"""Seconds that a request waits for its operation, as the CLI polls only every five."""

_LOG = logging.getLogger(__name__)


@dataclass
class Resource:
    """An existing resource; `properties` with references resolved, as of its last change."""

    definition: dict[str, Any]
    properties: dict[str, Any]
    created: Any

    @property
    def kind(self) -> str:
        return self.definition["Type"]

    @property
    def physical_id(self) -> str:
        return self.created.physical_resource_id


class _Map(parsing.ResourceMap):
    """moto's map of a stack's resources, without creation on access."""

    def __getitem__(self, name: str) -> Any:
        return self._parsed_resources[name]


class Stacks:
    """All stacks. `resources` holds existing ones by stack and logical id; read it with `lock`.

    `changes` counts finished operations, so that readers know when to read again; `on_change` is
    called at the end of each.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self.lock = lock
        self.kinds: ResourceKinds
        self.resources: dict[str, dict[str, Resource]] = {}
        self.changes = 0
        self.on_change: Callable[[], None] = lambda: None
        self._started = threading.local()

    def all(self) -> list[Resource]:
        """Return all resources of all stacks."""
        with self.lock:
            return [r for known in self.resources.values() for r in known.values()]

    def settle(self) -> None:
        """Wait for the operations that this thread's request started, at most REQUEST_WAIT each."""
        for operation in self._started.__dict__.pop("operations", ()):
            operation.join(REQUEST_WAIT)

    def create(self, stack: Any) -> None:
        """Start to create a new stack's resources. Call this, `update` and `delete` with `lock`."""
        self._new_map(stack)
        self._start(stack, "CREATE", lambda: self._create_and_update(stack, {}))

    def update(self, stack: Any) -> None:
        """Start to apply a stack's changed template."""
        self._new_map(stack)
        self._start(stack, "UPDATE", lambda: self._update(stack))

    def delete(self, stack: Any, then: Callable[[], None]) -> None:
        """Start to delete a stack's resources; `then` is called when all are deleted."""

        def work() -> None:
            self._delete(stack)
            with self.lock:
                then()

        self._start(stack, "DELETE", work)

    @staticmethod
    def ours(stack: Any) -> bool:
        """Return whether its resources are ours; moto creates those of change sets itself."""
        return isinstance(stack.resource_map, _Map)

    # ── Operations ──────────────────────────────────────────────────────────────────────────────

    def _start(self, stack: Any, verb: str, work: Callable[[], object]) -> None:
        stack.status = f"{verb}_IN_PROGRESS"
        stack._add_stack_event(stack.status, resource_status_reason="User Initiated")
        operation = threading.Thread(
            target=self._run, args=(stack, verb, work), name=f"{verb} {stack.name}", daemon=True
        )
        self._started.__dict__.setdefault("operations", []).append(operation)
        operation.start()

    def _run(self, stack: Any, verb: str, work: Callable[[], object]) -> None:
        try:
            work()
            status = f"{verb}_COMPLETE"
        except Exception as error:  # noqa: BLE001 (any error fails the stack)
            _LOG.info("%s %s", verb, stack.name, exc_info=True)
            self._add_event(stack, f"{verb}_FAILED", str(error))
            status = f"{verb}_FAILED"
        if status == "CREATE_FAILED":
            status = "ROLLBACK_COMPLETE"
            try:
                self._delete(stack)
            except Exception as error:  # noqa: BLE001
                self._add_event(stack, "DELETE_FAILED", str(error))
                status = "ROLLBACK_FAILED"
        self.on_change()
        with self.lock:
            self.changes += 1
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                stack.output_map = stack._create_output_map()
            stack.status = status
            stack._add_stack_event(status)

    def _add_event(self, stack: Any, status: str, reason: str) -> None:
        with self.lock:
            kind, name = "AWS::CloudFormation::Stack", stack.name
            event = models.Event(
                stack.stack_id, name, name, stack.stack_id, kind, status, reason, None
            )
            stack.events.append(event)

    def _update(self, stack: Any) -> None:
        """Apply the template. A failed update is not rolled back: what was changed stays."""
        known = self.resources[stack.name]
        replaced = self._create_and_update(stack, known)
        for resource in reversed(replaced):
            if resource.definition.get("UpdateReplacePolicy") != "Retain":
                self._delete_resource(stack, resource)
        declared = stack.template_dict["Resources"]
        removed = {name: known[name].definition for name in known if name not in declared}
        for name in reversed(in_order(removed)):
            self._remove(stack, name)

    def _delete(self, stack: Any) -> None:
        known = self.resources.setdefault(stack.name, {})
        for name in reversed(in_order({n: known[n].definition for n in known})):
            self._remove(stack, name)
        del self.resources[stack.name]

    def _create_and_update(self, stack: Any, known: dict[str, Resource]) -> list[Resource]:
        """Create and update resources by the template; return replaced ones, not yet deleted."""
        existing = self.resources.setdefault(stack.name, known)
        definitions = stack.template_dict["Resources"]
        replaced = []
        for name in in_order(definitions):
            declared = self._declared(stack, name, definitions[name])
            if declared is None:
                continue
            former, kind = existing.get(name), self.kinds(declared.kind)
            if former is None:
                created = self._create(stack, kind, declared)
            elif former.properties != declared.properties:
                created = kind.update(former.created, former.properties, declared)
                if created is not former.created and not kind.replaces_by_itself:
                    replaced.append(former)
            else:
                created = former.created
            self._store(stack, declared, created)
        return replaced

    def _create(self, stack: Any, kind: ResourceKind, declared: Declared) -> Any:
        try:
            return kind.create(declared)
        except ResourceError as error:
            if error.created is not None:
                self._store(stack, declared, error.created)
            raise

    def _store(self, stack: Any, declared: Declared, created: Any) -> None:
        with self.lock:
            created.logical_resource_id = declared.logical_id
            created.cf_resource_type = declared.kind
            stack.resource_map._parsed_resources[declared.logical_id] = created
            stored = Resource(dict(declared.definition), declared.properties, created)
            self.resources[stack.name][declared.logical_id] = stored

    def _remove(self, stack: Any, name: str) -> None:
        resource = self.resources[stack.name][name]
        if resource.definition.get("DeletionPolicy") != "Retain":
            self._delete_resource(stack, resource)
        with self.lock:
            self.resources[stack.name].pop(name)
            stack.resource_map._parsed_resources.pop(name, None)

    def _delete_resource(self, stack: Any, resource: Resource) -> None:
        name = resource.created.logical_resource_id
        declared = Declared(
            name, resource.kind, resource.definition, resource.properties, stack.resource_map
        )
        self.kinds(resource.kind).delete(resource.created, declared)

    def _declared(self, stack: Any, name: str, definition: dict[str, Any]) -> Declared | None:
        """Return the resource as declared; None if its condition does not hold."""
        with self.lock:
            condition = definition.get("Condition")
            if condition and not stack.resource_map.lazy_condition_map[condition]:
                return None
            unresolved = copy.deepcopy(definition.get("Properties", {}))
            properties = _without_no_value(parsing.clean_json(unresolved, stack.resource_map))
        return Declared(name, definition["Type"], definition, properties, stack.resource_map)

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
            stack.resource_map._parsed_resources[name] = resource.created


def _without_no_value(value: Any) -> Any:
    """Remove properties whose value is `AWS::NoValue`."""
    if isinstance(value, dict):
        return {key: _without_no_value(item) for key, item in value.items() if item is not None}
    return [_without_no_value(item) for item in value] if isinstance(value, list) else value
