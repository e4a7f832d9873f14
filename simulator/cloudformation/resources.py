"""Creation, update and deletion of resources, by kind.

Most kinds are moto's. SageMaker's are the SageMaker simulator's, custom ones are left to the
function they name, and kinds unknown to moto are stored without effect. Knows no stack, no order.
"""

import copy
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError
from moto.backends import get_backend
from moto.cloudformation import parsing

from simulator.sagemaker.account import ACCOUNT, REGION, Account

ENDPOINT_TIMEOUT = 180.0
"""Seconds for an endpoint to be in service, or deleted."""


class ResourceError(Exception):
    """Raised when a resource cannot be created, updated or deleted; the stack operation fails.

    `created`: what was created nevertheless, for the rollback to delete.
    """

    def __init__(self, message: str, created: "PhysicalResource | None" = None) -> None:
        super().__init__(message)
        self.created = created


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as the template declares it; `properties` with all references resolved.

    `definition` is its part of the template, `stack_map` moto's map of the stack's resources.
    """

    logical_id: str
    kind: str
    definition: Mapping[str, Any]
    properties: dict[str, Any]
    stack_map: Any

    @property
    def generated_name(self) -> str:
        """Return a new name in CloudFormation's form, another at each call."""
        stack = self.stack_map["AWS::StackName"]
        return f"{stack}-{self.logical_id}-{uuid.uuid4().hex[:12]}"[:63]


class PhysicalResource:
    """An existing resource: its id and attributes. moto's own resources have the same interface."""

    def __init__(self, declared: Declared, physical_id: str, **attributes: Any) -> None:
        self.cf_resource_type = declared.kind
        self.logical_resource_id = declared.logical_id
        self.physical_resource_id = physical_id
        self._attributes = attributes

    def get_cfn_attribute(self, name: str) -> Any:
        """Return the value of `Fn::GetAtt`; a made-up one for an attribute that is not set."""
        return self._attributes.get(name, f"{self.physical_resource_id}.{name}")


class ResourceKind(Protocol):
    """The operations on resources of one kind. Called without any lock; each raises ResourceError.

    `replaces_by_itself`: an update that creates a new resource has also deleted the former one.
    """

    replaces_by_itself: bool

    def create(self, declared: Declared, /) -> Any:
        """Create the resource."""

    def update(self, created: Any, former: dict[str, Any], declared: Declared, /) -> Any:
        """Update in place and return `created`, or return a new resource that replaces it."""

    def delete(self, created: Any, declared: Declared, /) -> None:
        """Delete the resource; it no longer exists on return."""


_REFERRED_TO_BY = {"AWS::ApiGateway::Stage": "StageName"}
"""Kinds whose `Ref` is a property instead of a generated name."""


class StoredKind:
    """Kinds that are stored without effect: alarms, scaling, stages, authorizers."""

    replaces_by_itself = False

    def create(self, declared: Declared) -> PhysicalResource:
        name = declared.properties.get(_REFERRED_TO_BY.get(declared.kind, ""))
        return PhysicalResource(declared, name or declared.generated_name)

    def update(
        self, created: PhysicalResource, _former: dict[str, Any], _declared: Declared
    ) -> PhysicalResource:
        return created

    def delete(self, _created: PhysicalResource, _declared: Declared) -> None:
        pass


class MotoKind:
    """Kinds that moto implements."""

    replaces_by_itself = True

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def create(self, declared: Declared) -> Any:
        with self._lock:
            return parsing.parse_and_create_resource(*self._arguments(declared))

    def update(self, created: Any, _former: dict[str, Any], declared: Declared) -> Any:
        with self._lock:
            # None for kinds that moto cannot update.
            return parsing.parse_and_update_resource(*self._arguments(declared)) or created

    def delete(self, created: Any, declared: Declared) -> None:
        with self._lock:
            if declared.kind == "AWS::ApiGateway::RestApi":
                # moto's CloudFormation leaves the API behind, with all that belongs to it.
                apis = get_backend("apigateway")[ACCOUNT][REGION]
                apis.delete_rest_api(created.physical_resource_id)
            else:
                declared.stack_map._delete_resource(created, dict(declared.definition))

    @staticmethod
    def _arguments(declared: Declared) -> tuple[Any, ...]:
        definition = copy.deepcopy(dict(declared.definition))
        return declared.logical_id, definition, declared.stack_map, ACCOUNT, REGION


class TableKind(MotoKind):
    """DynamoDB's tables, with the recovery and the change of protection that moto leaves out."""

    def create(self, declared: Declared) -> Any:
        return self._as_declared(super().create(declared), declared)

    def update(self, created: Any, former: dict[str, Any], declared: Declared) -> Any:
        return self._as_declared(super().update(created, former, declared), declared)

    def _as_declared(self, table: Any, declared: Declared) -> Any:
        protected = declared.properties.get("DeletionProtectionEnabled", False)
        asked = declared.properties.get("PointInTimeRecoverySpecification")
        with self._lock:
            table.deletion_protection_enabled = str(protected).lower() == "true"
            if asked is not None:
                tables = get_backend("dynamodb")[ACCOUNT][REGION]
                tables.update_continuous_backups(table.name, asked)
        return table


class SubscriptionKind:
    """Subscriptions to topics, confirmed at once; a change is a new one."""

    replaces_by_itself = False

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def create(self, declared: Declared) -> PhysicalResource:
        of = declared.properties
        with self._lock:
            topics = get_backend("sns")[ACCOUNT][REGION]
            made = topics.subscribe(of["TopicArn"], of["Endpoint"], of["Protocol"])
        return PhysicalResource(declared, made.arn)

    def update(
        self, _created: PhysicalResource, _former: dict[str, Any], declared: Declared
    ) -> PhysicalResource:
        return self.create(declared)

    def delete(self, created: PhysicalResource, _declared: Declared) -> None:
        with self._lock:
            get_backend("sns")[ACCOUNT][REGION].unsubscribe(created.physical_resource_id)


class SageMakerKind:
    """Models, configs and endpoints of the SageMaker simulator."""

    replaces_by_itself = False

    def __init__(self, client: Any) -> None:
        self._client = client

    def create(self, declared: Declared) -> PhysicalResource:
        noun, name_key = _SAGEMAKER[declared.kind]
        name = declared.properties.get(name_key) or declared.generated_name
        request = {**declared.properties, name_key: name, "Tags": _tags(declared)}
        request.pop(_OF_UPDATES, None)
        try:
            response = getattr(self._client, f"create_{noun}")(**request)
        except ClientError as error:
            raise ResourceError(str(error)) from error
        arn = next(value for key, value in response.items() if key.endswith("Arn"))
        created = PhysicalResource(declared, arn, **{name_key: name})
        if noun == "endpoint":
            try:
                self._wait_until_settled(name)
            except ResourceError as error:
                raise ResourceError(str(error), created) from None
        return created

    def update(
        self, created: PhysicalResource, _former: dict[str, Any], declared: Declared
    ) -> PhysicalResource:
        noun, name_key = _SAGEMAKER[declared.kind]
        if noun != "endpoint":
            # Immutable: a new one replaces it, under a new name.
            return self.create(declared)
        name = created.get_cfn_attribute(name_key)
        members = ("EndpointConfigName", _OF_UPDATES)
        given = {key: declared.properties[key] for key in members if key in declared.properties}
        try:
            self._client.update_endpoint(EndpointName=name, **given)
        except ClientError as error:
            raise ResourceError(str(error)) from error
        self._wait_until_settled(name)
        return created

    def delete(self, created: PhysicalResource, declared: Declared) -> None:
        noun, name_key = _SAGEMAKER[declared.kind]
        name = created.get_cfn_attribute(name_key)
        try:
            getattr(self._client, f"delete_{noun}")(**{name_key: name})
        except ClientError as error:
            if "Could not find" not in str(error):
                raise ResourceError(str(error)) from error
        if noun == "endpoint":
            self._wait_until_settled(name)

    def _wait_until_settled(self, name: str) -> None:
        deadline = time.monotonic() + ENDPOINT_TIMEOUT
        while time.monotonic() < deadline:
            try:
                endpoint = self._client.describe_endpoint(EndpointName=name)
            except ClientError as error:
                if "Could not find endpoint" in str(error):
                    return
                raise ResourceError(str(error)) from error
            if endpoint["EndpointStatus"] == "InService":
                return
            if endpoint["EndpointStatus"] == "Failed":
                raise ResourceError(endpoint["FailureReason"])
            time.sleep(0.1)
        raise ResourceError(f"endpoint {name} did not settle in {ENDPOINT_TIMEOUT:.0f} s")


def _tags(declared: Declared) -> list[dict[str, str]]:
    """Return a resource's own tags, its stack's, and the one that CloudFormation adds."""
    tags = {"aws:cloudformation:stack-name": declared.stack_map["AWS::StackName"]}
    tags |= declared.stack_map.tags
    tags |= {tag["Key"]: tag["Value"] for tag in declared.properties.get("Tags", ())}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


_OF_UPDATES = "RetainAllVariantProperties"
"""A property of an endpoint that CloudFormation passes on when it updates one."""

_SAGEMAKER = {
    "AWS::SageMaker::Model": ("model", "ModelName"),
    "AWS::SageMaker::EndpointConfig": ("endpoint_config", "EndpointConfigName"),
    "AWS::SageMaker::Endpoint": ("endpoint", "EndpointName"),
}


class ScalableTargetKind(StoredKind):
    """Scalable targets, registered with SageMaker's account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def create(self, declared: Declared) -> PhysicalResource:
        resource = declared.properties["ResourceId"]
        with self._account.lock:
            self._account.scalable.register(resource, int(declared.properties["MaxCapacity"]))
        dimension = declared.properties["ScalableDimension"]
        return PhysicalResource(declared, f"{resource}|{dimension}|sagemaker")

    def delete(self, _created: PhysicalResource, declared: Declared) -> None:
        with self._account.lock:
            self._account.scalable.deregister(declared.properties["ResourceId"])


class ResourceKinds:
    """The implementation of each kind; `custom` takes all kinds that begin with `Custom::`."""

    def __init__(
        self,
        moto: ResourceKind,
        sagemaker: ResourceKind,
        custom: ResourceKind,
        named: Mapping[str, ResourceKind],
    ) -> None:
        self._moto, self._custom, self._stored = moto, custom, StoredKind()
        self._named = {**dict.fromkeys(_SAGEMAKER, sagemaker), **named}

    def __call__(self, kind: str) -> ResourceKind:
        if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            return self._custom
        other = self._moto if kind in parsing.get_model_map() else self._stored
        return self._named.get(kind, other)
