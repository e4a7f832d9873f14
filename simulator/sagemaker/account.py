"""The rules of one account in one region: preconditions and effects of each call.

Every read first advances all endpoints to `now`. Every refusal is one of `refusals.py`. Knows
neither protocol; requests are already valid by the service model.
"""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from simulator.sagemaker import refusals
from simulator.sagemaker.containers import Launch
from simulator.sagemaker.endpoint import (
    IN_PROGRESS,
    NO_CAPACITY,
    SERVING,
    Delays,
    Endpoint,
    EndpointConfig,
    Status,
)
from simulator.sagemaker.faults import Faults
from simulator.sagemaker.messages import AsyncJob, Call
from simulator.sagemaker.models import Access, Model, Unrestricted, failure_of, image_exists
from simulator.sagemaker.scalable_targets import ScalableTargets
from simulator.sagemaker.state_events import state_change

ACCOUNT = "111122223333"
REGION = "us-east-1"


class Account:
    """Models, configs and endpoints. Thread-safe; hold `lock` to make several calls atomic.

    `calls` lists all calls, refused ones included; `jobs` the accepted asynchronous invocations,
    of which the first `jobs_done` have left their queue;
    `lives` counts the creations of each endpoint; `violations` lists calls that the service accepts
    although its documentation forbids them. `notify` receives the event of every state change with
    `lock` held: it must not wait.
    """

    def __init__(
        self, now: Callable[[], datetime], launch: Launch, delays: Delays, faults: Faults
    ) -> None:
        self.now = now
        self.delays = delays
        self.faults = faults
        self.lives: Counter[str] = Counter()
        self.calls: list[Call] = []
        self.jobs: list[AsyncJob] = []
        self.jobs_done = 0
        self.violations: list[str] = []
        self.notify: Callable[[dict[str, Any]], None] = lambda _event: None
        self._launch = launch
        self.lock = threading.RLock()
        self.access: Access = Unrestricted()
        self.images: set[str] = set()
        self._models: dict[str, Model] = {}
        self.scalable = ScalableTargets(ACCOUNT, REGION)
        self._configs: dict[str, EndpointConfig] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._gone: list[tuple[Endpoint, datetime]] = []

    @staticmethod
    def arn(kind: str, name: str) -> str:
        """Return the ARN of a resource, in lower case whatever the name's case."""
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"

    # ── Models and configs ───────────────────────────────────────────────────────────────────────

    def create_model(self, name: str, request: dict[str, Any]) -> str:
        """Create a model whose image exists and whose role SageMaker may assume; return its ARN."""
        with self.lock:
            arn = self.arn("model", name)
            if arn in self._models:
                raise refusals.exists_already("model", arn)
            model = Model(name, arn, {**request, "ModelArn": arn, "CreationTime": self.now()})
            if not self.access.may_assume("sagemaker.amazonaws.com", model.role):
                raise refusals.role_not_assumable(model.role)
            if model.image and not image_exists(model.image, self.images, ACCOUNT, REGION):
                raise refusals.image_not_found(model.image)
            self._models[arn] = model
            return arn

    def model(self, name: str) -> dict[str, Any]:
        """Return a model as DescribeModel does."""
        with self.lock:
            arn = self.arn("model", name)
            if arn not in self._models:
                raise refusals.missing("model", arn)
            return {key: value for key, value in self._models[arn].request.items() if key != "Tags"}

    def delete_model(self, name: str) -> None:
        """Delete a model, used or not."""
        with self.lock:
            arn = self.arn("model", name)
            if self._models.pop(arn, None) is None:
                raise refusals.missing("model", arn)

    def create_config(self, name: str, request: dict[str, Any]) -> EndpointConfig:
        """Create a config whose models exist."""
        with self.lock:
            arn = self.arn("endpoint-config", name)
            if arn in self._configs:
                raise refusals.exists_already("endpoint configuration", arn)
            for variant in request["ProductionVariants"]:
                model = self.arn("model", variant.get("ModelName", ""))
                if model not in self._models:
                    raise refusals.missing("model", model)
            config = EndpointConfig(name, arn, self.now(), request)
            self._configs[arn] = config
            return config

    def config(self, name: str) -> EndpointConfig:
        """Return a config."""
        with self.lock:
            arn = self.arn("endpoint-config", name)
            if arn not in self._configs:
                raise refusals.missing("endpoint configuration", arn)
            return self._configs[arn]

    def delete_config(self, name: str) -> None:
        """Delete a config; never refused, in use a violation: the service only forbids it."""
        with self.lock:
            config = self.config(name)
            users = [e.name for e in self._advance() if e.config.arn == config.arn]
            if users:
                self.violations.append(f"{name} was deleted while {', '.join(users)} used it")
            del self._configs[config.arn]

    def _config_for_create(self, name: str) -> EndpointConfig:
        """Return a config as CreateEndpoint reads it: eventually consistent."""
        config = self.config(name)
        if self.now() < config.created + self.delays.config:
            raise refusals.missing("endpoint configuration", config.arn)
        return config

    # ── Endpoints ────────────────────────────────────────────────────────────────────────────────

    def create_endpoint(self, name: str, config_name: str, tags: dict[str, str]) -> Endpoint:
        """Create an endpoint, within the quota of its instance types."""
        with self.lock:
            now = self.now()
            arn = self.arn("endpoint", name)
            self._advance()
            if arn in self._endpoints:
                raise refusals.exists_already("endpoint", arn)
            config = self._config_for_create(config_name)
            self._check_quota(config)
            endpoint = Endpoint(name, arn, config, created=now, modified=now, tags=tags)
            endpoint.desired = config.initial
            failure = self.faults.failure_of_next(name) or self._failure_of_role(name, config)
            if self.faults.without_capacity & set(config.instances()):
                endpoint.plan(Status.FAILED, now + self.delays.provision, NO_CAPACITY)
            elif failure is not None:
                endpoint.plan(Status.FAILED, now + self.delays.create, failure)
            else:
                endpoint.container = self._launch(name)
                endpoint.plan(Status.IN_SERVICE, now + self.delays.create)
            self._endpoints[arn] = endpoint
            self.lives[name] += 1
            self.notify(state_change(endpoint, ACCOUNT, REGION))
            return endpoint

    def _failure_of_role(self, endpoint: str, config: EndpointConfig) -> str | None:
        """Return the reason for which a model's execution role lets the endpoint fail, if any."""
        for variant in config.variants:
            # A model that was deleted since counts as permitted: the service keeps a copy.
            model = self._models.get(self.arn("model", variant.get("ModelName", "")))
            if model is not None:
                failure = failure_of(model, variant["VariantName"], endpoint, self.access)
                if failure is not None:
                    return failure
        return None

    def role_of(self, endpoint: Endpoint) -> str:
        """Return the execution role of an endpoint's first variant; empty if its model is gone."""
        with self.lock:
            name = endpoint.config.variants[0].get("ModelName", "")
            model = self._models.get(self.arn("model", name))
            return "" if model is None else model.role

    def _check_quota(self, config: EndpointConfig) -> None:
        for kind, requested in config.instances().items():
            limit = self.faults.quotas.get(kind)
            used = sum(
                endpoint.config.instances().get(kind, 0)
                for endpoint in self._advance()
                if endpoint.status is not Status.FAILED
            )
            if limit is not None and used + requested > limit:
                raise refusals.over_quota(kind, limit, used, requested)

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint; the control plane ignores the case of names."""
        with self.lock:
            arn = self.arn("endpoint", name)
            self._advance()
            if arn not in self._endpoints:
                raise refusals.missing("endpoint", arn)
            return self._endpoints[arn]

    def endpoints(self) -> list[Endpoint]:
        """Return all endpoints."""
        with self.lock:
            return self._advance()

    def listed(self) -> list[Endpoint]:
        """Return all endpoints as ListEndpoints knows them: new ones late, deleted ones longer."""
        with self.lock:
            known = self.now() - self.delays.listing
            present = [one for one in self._advance() if one.created <= known]
            self._gone = [(one, at) for one, at in self._gone if at > known]
            return present + [one for one, _ in self._gone]

    def delete_endpoint(self, name: str) -> None:
        """Start to delete an endpoint that is not in progress."""
        with self.lock:
            endpoint = self.endpoint(name)
            # For Deleting this is an assumption.
            if endpoint.status in IN_PROGRESS or endpoint.status is Status.DELETING:
                raise refusals.in_progress(endpoint.arn)
            for resource in self.scalable.of(name):
                self.scalable.deregister(resource)
            now = self.now()
            self._set_state(endpoint, Status.DELETING, now)
            endpoint.plan(None, now + self.delays.delete)

    def update_endpoint(self, name: str, config_name: str, *, retain: bool = False) -> Endpoint:
        """Start to update an endpoint that is neither in progress nor failed.

        Its instances become those of the config, unless `retain`ed.
        """
        with self.lock:
            endpoint = self.endpoint(name)
            if endpoint.status in IN_PROGRESS or endpoint.status is Status.DELETING:
                raise refusals.in_progress(endpoint.arn)
            if endpoint.status is Status.FAILED:
                raise refusals.only_deletable(endpoint.arn)
            config = self._config_for_create(config_name)
            if self.scalable.of(name) and config.kinds != endpoint.config.kinds:
                raise refusals.scalable_target_keeps_type(endpoint.arn)
            endpoint.config, now = config, self.now()
            endpoint.desired = endpoint.desired if retain else config.initial
            self._set_state(endpoint, Status.UPDATING, now)
            endpoint.plan(Status.IN_SERVICE, now + self.delays.update)
            return endpoint

    def hurry(self, by: timedelta) -> None:
        """Let every planned change of a state come this much sooner, as if the time had passed."""
        with self.lock:
            for endpoint in self._endpoints.values():
                if endpoint.next_at is not None:
                    endpoint.next_at -= by

    def rescale(self, name: str, instances: int) -> None:
        """Start to change the number of instances, as Application Auto Scaling does."""
        with self.lock:
            endpoint, now = self.endpoint(name), self.now()
            self._set_state(endpoint, Status.UPDATING, now)
            endpoint.desired = instances
            endpoint.plan(Status.IN_SERVICE, now + self.delays.update)

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of an endpoint, mutable."""
        with self.lock:
            self._advance()
            if arn not in self._endpoints:
                raise refusals.no_such_resource()
            return self._endpoints[arn].tags

    def tags_if_any(self, arn: str) -> dict[str, str]:
        """Return the tags of an endpoint; none if it does not exist."""
        with self.lock:
            found = self._endpoints.get(arn)
            return {} if found is None else dict(found.tags)

    def serving(self, name: str) -> Endpoint:
        """Return the serving endpoint of this name; the runtime distinguishes case."""
        with self.lock:
            for endpoint in self._advance():
                if endpoint.name == name and endpoint.status in SERVING and endpoint.container:
                    return endpoint
            raise refusals.not_found_at_runtime(name, ACCOUNT)

    # ── State changes without a call ─────────────────────────────────────────────────────────────

    def show(self, name: str, status: Status, failure: str = "") -> None:
        """Set the state of an endpoint; it stays until the next call that changes it."""
        with self.lock:
            self._set_state(self.endpoint(name), status, self.now(), failure)

    def maintain(self, name: str) -> None:
        """Start maintenance by AWS; it takes as long as an update."""
        with self.lock:
            endpoint, now = self.endpoint(name), self.now()
            self._set_state(endpoint, Status.SYSTEM_UPDATING, now)
            endpoint.plan(Status.IN_SERVICE, now + self.delays.update)

    def stick(self, name: str) -> None:
        """Stop an endpoint's transitions: its state changes by calls only."""
        with self.lock:
            self.endpoint(name).stuck = True

    def unstick(self, name: str) -> None:
        """Resume an endpoint's transitions; those that are overdue follow at once."""
        with self.lock:
            self.endpoint(name).stuck = False

    def close(self) -> None:
        """Stop every container."""
        with self.lock:
            for endpoint in self._endpoints.values():
                if endpoint.container is not None:
                    endpoint.container.close()
            self._endpoints.clear()

    # ── Internal ─────────────────────────────────────────────────────────────────────────────────

    def _advance(self) -> list[Endpoint]:
        """Advance every endpoint to now and return those that exist."""
        now = self.now()
        for endpoint in list(self._endpoints.values()):
            while endpoint.due(now):
                if endpoint.next_status is None:
                    del self._endpoints[endpoint.arn]
                    self._gone.append((endpoint, endpoint.next_at or now))
                    break
                if not endpoint.advance(now, self.delays):
                    break
                self.notify(state_change(endpoint, ACCOUNT, REGION))
        return list(self._endpoints.values())

    def _set_state(
        self, endpoint: Endpoint, status: Status, at: datetime, failure: str = ""
    ) -> None:
        endpoint.set_state(status, at, failure)
        self.notify(state_change(endpoint, ACCOUNT, REGION))
