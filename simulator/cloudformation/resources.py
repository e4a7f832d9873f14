"""What each kind of resource in a template becomes, and how it changes and goes.

Most are moto's. SageMaker's are the strict simulator's, custom ones are made by the function they
name, and what moto does not know is only remembered. Knows no stack and no order.
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

from simulator.sagemaker.account import ACCOUNT, REGION

SETTLES_WITHIN = 180.0
"""Seconds that an endpoint may take to be there, or gone."""


class ResourceError(Exception):
    """A resource could not be made, changed or deleted; the stack operation fails with this.

    `made`: what came of it nevertheless, and is to be deleted in the rollback.
    """

    def __init__(self, message: str, made: "Made | None" = None) -> None:
        super().__init__(message)
        self.made = made


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource as a template wants it; `properties` with all references resolved.

    `within` is moto's map of the stack's resources, which its own kinds look into.
    """

    logical_id: str
    kind: str
    said: Mapping[str, Any]
    properties: dict[str, Any]
    within: Any

    @property
    def generated_name(self) -> str:
        """A new name each time, as CloudFormation makes them up."""
        stack = self.within["AWS::StackName"]
        return f"{stack}-{self.logical_id}-{uuid.uuid4().hex[:12]}"[:63]


class Made:
    """What templates can refer to: an id and attributes. moto's own resources look the same."""

    def __init__(self, wanted: Wanted, physical_id: str, **attributes: Any) -> None:
        self.cf_resource_type = wanted.kind
        self.logical_resource_id = wanted.logical_id
        self.physical_resource_id = physical_id
        self._attributes = attributes

    def get_cfn_attribute(self, name: str) -> Any:
        return self._attributes.get(name, f"{self.physical_resource_id}.{name}")


class Kind(Protocol):
    """How resources of one kind come and go. Called without any lock; each raises ResourceError.

    `replaces_by_itself`: an update that makes a new one has deleted the former one.
    """

    replaces_by_itself: bool

    def create(self, wanted: Wanted) -> Any:
        """A new one."""

    def update(self, made: Any, former: dict[str, Any], wanted: Wanted) -> Any:
        """`made`, changed; or a new one that supersedes it."""

    def delete(self, made: Any, wanted: Wanted) -> None:
        """It is gone when this returns."""


_REFERRED_TO_BY = {"AWS::ApiGateway::Stage": "StageName"}
"""What a reference to them gives, where it is not a generated name."""


class Remembered:
    """Kinds that nobody here acts on: alarms, scaling, stages, authorizers."""

    replaces_by_itself = False

    def create(self, wanted: Wanted) -> Made:
        name = wanted.properties.get(_REFERRED_TO_BY.get(wanted.kind, ""))
        return Made(wanted, name or wanted.generated_name)

    def update(self, made: Made, former: dict[str, Any], wanted: Wanted) -> Made:
        return made

    def delete(self, made: Made, wanted: Wanted) -> None:
        pass


class Moto:
    """Kinds that moto has."""

    replaces_by_itself = True

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def create(self, wanted: Wanted) -> Any:
        with self._lock:
            return parsing.parse_and_create_resource(*self._asked(wanted))

    def update(self, made: Any, former: dict[str, Any], wanted: Wanted) -> Any:
        with self._lock:
            # Nothing is answered for kinds that moto cannot change at all.
            return parsing.parse_and_update_resource(*self._asked(wanted)) or made

    def delete(self, made: Any, wanted: Wanted) -> None:
        with self._lock:
            if wanted.kind == "AWS::ApiGateway::RestApi":
                # The one that moto's CloudFormation leaves behind, with all that belongs to it.
                apis = get_backend("apigateway")[ACCOUNT][REGION]
                apis.delete_rest_api(made.physical_resource_id)
            else:
                wanted.within._delete_resource(made, dict(wanted.said))

    @staticmethod
    def _asked(wanted: Wanted) -> tuple[Any, ...]:
        said = copy.deepcopy(dict(wanted.said))
        return wanted.logical_id, said, wanted.within, ACCOUNT, REGION


class SageMaker:
    """Models, configs and endpoints in the simulator, asked for as CloudFormation asks."""

    replaces_by_itself = False

    def __init__(self, client: Any) -> None:
        self._client = client

    def create(self, wanted: Wanted) -> Made:
        what, name_key = _SAGEMAKER[wanted.kind]
        name = wanted.properties.get(name_key) or wanted.generated_name
        try:
            answer = getattr(self._client, f"create_{what}")(
                **{**wanted.properties, name_key: name}
            )
        except ClientError as error:
            raise ResourceError(str(error)) from error
        arn = next(value for key, value in answer.items() if key.endswith("Arn"))
        made = Made(wanted, arn, **{name_key: name})
        if what == "endpoint":
            try:
                self._settled(name)
            except ResourceError as error:
                raise ResourceError(str(error), made) from None
        return made

    def update(self, made: Made, former: dict[str, Any], wanted: Wanted) -> Made:
        what, name_key = _SAGEMAKER[wanted.kind]
        if what != "endpoint":
            # Neither can be changed: a new one beside it, under a new name.
            return self.create(wanted)
        name = made.get_cfn_attribute(name_key)
        config = wanted.properties["EndpointConfigName"]
        self._client.update_endpoint(EndpointName=name, EndpointConfigName=config)
        self._settled(name)
        return made

    def delete(self, made: Made, wanted: Wanted) -> None:
        what, name_key = _SAGEMAKER[wanted.kind]
        name = made.get_cfn_attribute(name_key)
        try:
            getattr(self._client, f"delete_{what}")(**{name_key: name})
        except ClientError as error:
            if "Could not find" not in str(error):
                raise ResourceError(str(error)) from error
        if what == "endpoint":
            self._settled(name)

    def _settled(self, name: str) -> None:
        deadline = time.monotonic() + SETTLES_WITHIN
        while time.monotonic() < deadline:
            try:
                said = self._client.describe_endpoint(EndpointName=name)
            except ClientError as error:
                if "Could not find endpoint" in str(error):
                    return
                raise ResourceError(str(error)) from error
            if said["EndpointStatus"] == "InService":
                return
            if said["EndpointStatus"] == "Failed":
                raise ResourceError(said["FailureReason"])
            time.sleep(0.1)
        raise ResourceError(f"endpoint {name} did not settle in {SETTLES_WITHIN:.0f} s")


_SAGEMAKER = {
    "AWS::SageMaker::Model": ("model", "ModelName"),
    "AWS::SageMaker::EndpointConfig": ("endpoint_config", "EndpointConfigName"),
    "AWS::SageMaker::Endpoint": ("endpoint", "EndpointName"),
}


class Kinds:
    """Which kind is whose. `custom` is asked for all kinds that begin with `Custom::`."""

    def __init__(self, moto: Kind, sagemaker: Kind, custom: Kind) -> None:
        self._moto, self._sagemaker, self._custom = moto, sagemaker, custom
        self._remembered = Remembered()

    def __call__(self, kind: str) -> Kind:
        if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            return self._custom
        if kind in _SAGEMAKER:
            return self._sagemaker
        return self._moto if kind in parsing.get_model_map() else self._remembered
