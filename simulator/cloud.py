"""The way in: all of the simulated cloud, put together and ended in order.

with SimulatedCloud() as cloud:
    cloud.cdk.bootstrap()
    cloud.cdk.deploy("FlanT5MeteredStack")
    cloud.tick()
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Self

import boto3

from simulator.api_gateway.server import Gateway
from simulator.cdk import Cdk
from simulator.cloudformation.custom_resources import Custom
from simulator.cloudformation.moto_patch import in_place_of_motos
from simulator.cloudformation.resources import Kinds, Moto, SageMaker
from simulator.cloudformation.stacks import Stacks
from simulator.eventbridge import Events
from simulator.lambda_runtime.functions import Functions
from simulator.moto_services import Services
from simulator.sagemaker.account import ACCOUNT, REGION, Poller
from simulator.sagemaker.async_inference import Jobs
from simulator.sagemaker.containers import Launch, embedded_model
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.simulator import SageMakerSimulator

_LOG = logging.getLogger(__name__)

QUICK = Delays(
    create=timedelta(seconds=2),
    provision=timedelta(seconds=1),
    update=timedelta(seconds=1),
    delete=timedelta(seconds=1),
)
"""Real time, but not SageMaker's minutes. A container still has its own time to get ready."""


class SimulatedCloud:
    """One AWS account in one region, empty at first; ends everything it started when it is left.

    `cdk` is the command line, `sagemaker` the strict simulator behind it, `events` the bus.
    `port`: where the API is served, 0 for any that is free. `say` gets what `cdk` prints, `show`
    what functions print: a function's name, and a line.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        launch: Launch = embedded_model,
        delays: Delays = QUICK,
        say: Callable[[str], None] = _LOG.info,
        show: Callable[[str, str], None] = partial(_LOG.info, "%s: %s"),  # noqa: B008 (holds nothing)
    ) -> None:
        self._port, self._say, self._show = port, say, show
        self._ending = contextlib.ExitStack()
        self.sagemaker = SageMakerSimulator(launch=launch, delays=delays)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            sagemaker = started.enter_context(self.sagemaker)
            services = self._services = Services()
            # The port first, so that one that is taken is told at once.
            stacks = self.stacks = Stacks(services.lock)
            environment = {**services.environment(), **sagemaker.environment()}
            self.functions = Functions(services, environment, self._show)
            self._gateway = started.enter_context(Gateway(stacks, self.functions, self._port))
            started.enter_context(services)
            started.enter_context(self.functions)
            custom = Custom(self.functions, services.url)
            stacks.kinds = Kinds(Moto(services.lock), SageMaker(sagemaker.client()), custom)
            services.doors += [self.functions.door, custom.door]
            services.afterwards = stacks.settle
            started.enter_context(in_place_of_motos(stacks))
            self.events = started.enter_context(Events(stacks, self.functions.start))
            started.enter_context(self.events.of_parameters())
            sagemaker.account.notify = self.events.put
            started.enter_context(Poller(sagemaker.account))
            self._clients: dict[str, Any] = {}
            started.callback(self._close_clients)
            started.enter_context(Jobs(sagemaker.account, self.client("s3")))
            self._environment = environment
            self.cdk = started.enter_context(Cdk(environment, ACCOUNT, REGION, self._say))
            self._ending = started.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.__exit__(*error)

    @property
    def url(self) -> str:
        """The API's address, without its stage."""
        return self._gateway.url

    def client(self, service: str) -> Any:
        """boto3's client of a service, closed with the cloud. SageMaker's has its own face."""
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
        """What leads botocore here, in any process."""
        return dict(self._environment)

    def tick(self) -> int:
        """The minute has passed: what is scheduled is started. How many functions that were."""
        return self.events.tick()

    def logs(self, function: str) -> list[str]:
        """The last lines of what a function has printed."""
        return self.functions.logs(function)

    def _close_clients(self) -> None:
        for client in self._clients.values():
            client.close()
