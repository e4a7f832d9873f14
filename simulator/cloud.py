"""The simulated cloud: all services, wired together and closed in order.

    with SimulatedCloud() as cloud:
        cloud.cdk.bootstrap()
        cloud.cdk.deploy("FlanT5MeteredStack")
        cloud.tick()

The real CDK command line deploys into it.
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Self

import boto3

from simulator import published_models
from simulator.account_limits import AccountLimits
from simulator.api_gateway.server import ApiGateway
from simulator.cdk import Cdk
from simulator.cloudformation.custom_resources import CustomResources
from simulator.cloudformation.moto_patch import patched_moto
from simulator.cloudformation.resources import (
    MotoKind,
    ResourceKinds,
    SageMakerKind,
    ScalableTargetKind,
    SubscriptionKind,
    TableKind,
)
from simulator.cloudformation.stacks import Stacks
from simulator.eventbridge import EventBus
from simulator.iam.account import (
    HERE,
    KnownAccount,
    MotoGate,
    api_may_invoke,
    deployed_resources,
    rule_may_invoke,
)
from simulator.iam.enforcement import Iam
from simulator.lambda_runtime.functions import Functions
from simulator.moto_services import MotoServices
from simulator.sagemaker.account import ACCOUNT, REGION
from simulator.sagemaker.async_inference import AsyncInference
from simulator.sagemaker.container_logs import container_logs
from simulator.sagemaker.containers import Launch, embedded_model
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.poller import Poller
from simulator.sagemaker.simulator import SageMakerSimulator
from simulator.scaling import Scaling

_LOG = logging.getLogger(__name__)

QUICK = Delays(
    create=timedelta(seconds=2),
    provision=timedelta(seconds=1),
    update=timedelta(seconds=1),
    delete=timedelta(seconds=1),
)
"""Seconds of real time in place of SageMaker's minutes; a container needs its own time besides."""


class SimulatedCloud:
    """One AWS account in one region, empty at first; on exit it stops all that it started.

    `cdk` is the command line, `sagemaker` the SageMaker simulator, `events` the event bus. The API
    is served on `port`; 0 takes a free one. `log_cdk` receives each line that `cdk` prints,
    `log_function` a function's name and each line that it prints.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        launch: Launch = embedded_model,
        delays: Delays = QUICK,
        log_cdk: Callable[[str], None] = _LOG.info,
        log_function: Callable[[str, str], None] = partial(_LOG.info, "%s: %s"),  # noqa: B008 (holds nothing)
    ) -> None:
        self._port, self._log_cdk, self._log_function = port, log_cdk, log_function
        self._exit_stack = contextlib.ExitStack()
        self.sagemaker = SageMakerSimulator(launch=launch, delays=delays)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            sagemaker = started.enter_context(self.sagemaker)
            services = self._services = MotoServices()
            # The port first: one that is taken fails at once.
            stacks = self.stacks = Stacks(services.lock)
            environment = {**services.environment(), **sagemaker.environment()}
            known = KnownAccount(services, sagemaker.account)
            iam = self.iam = Iam(lambda: deployed_resources(stacks), HERE, known)
            sagemaker.account.access = iam
            self.functions = Functions(services, environment, iam, self._log_function)
            self._gateway = started.enter_context(
                ApiGateway(stacks, self.functions, api_may_invoke(iam), self._port)
            )
            started.enter_context(services)
            started.enter_context(self.functions)
            custom = CustomResources(self.functions, services.url)
            stacks.kinds = ResourceKinds(
                MotoKind(services.lock),
                SageMakerKind(sagemaker.client()),
                custom,
                {
                    "AWS::ApplicationAutoScaling::ScalableTarget": ScalableTargetKind(
                        sagemaker.account
                    ),
                    "AWS::DynamoDB::Table": TableKind(services.lock),
                    "AWS::SNS::Subscription": SubscriptionKind(services.lock),
                },
            )
            self.limits = AccountLimits(sagemaker.faults.quotas)
            self.scaling = Scaling(stacks.all, sagemaker.account)
            others = (self.limits, self.scaling, published_models, self.functions, custom)
            services.handlers += [MotoGate(iam), *(one.handle for one in others)]
            services.after_request = stacks.settle
            stacks.on_change = iam.observe_roles
            started.enter_context(patched_moto(stacks))
            self.events = started.enter_context(
                EventBus(stacks, self._start_target, rule_may_invoke(iam))
            )
            started.enter_context(self.events.parameter_changes())
            sagemaker.account.notify = self.events.put
            started.enter_context(Poller(sagemaker.account))
            self._clients: dict[str, Any] = {}
            started.callback(self._close_clients)
            started.enter_context(
                AsyncInference(sagemaker.account, self.client("s3"), self.client("sns"))
            )
            self.events.listeners.append(container_logs(self.client("logs")))
            self._environment = environment
            self.cdk = started.enter_context(Cdk(environment, ACCOUNT, REGION, self._log_cdk))
            self._exit_stack = started.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exit_stack.__exit__(*error)

    @property
    def url(self) -> str:
        """The API's address, without its stage."""
        return self._gateway.url

    def client(self, service: str) -> Any:
        """Return boto3's client of a service, closed with the cloud.

        For SageMaker use `sagemaker.client()`.
        """
        if service not in self._clients:
            given = self._services.environment()
            self._clients[service] = boto3.client(
                service,
                endpoint_url=given["AWS_ENDPOINT_URL"],
                region_name=given["AWS_REGION"],
                aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]

    def environment(self) -> dict[str, str]:
        """Return the variables that direct botocore here, in any process."""
        return dict(self._environment)

    def tick(self) -> int:
        """Let a minute pass: alarms scale, all schedules fire; return the number of targets."""
        self.scaling.tick()
        return self.events.tick()

    def logs(self, function: str) -> list[str]:
        """Return the last lines that a function printed."""
        return self.functions.logs(function)

    def _start_target(self, arn: str, payload: bytes) -> None:
        """Deliver an event to a function or a queue."""
        if not arn.startswith("arn:aws:sqs:"):
            self.functions.start(arn, payload)
            return
        sqs = self.client("sqs")
        with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
            url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=payload.decode())

    def _close_clients(self) -> None:
        for client in self._clients.values():
            client.close()
