"""The capacity of metered queues: an async endpoint has no instance while its meter is closed.

The limit of its scalable target follows the meter; Application Auto Scaling then brings the number
of instances within it. Only the clock calls this.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3

from parkmeter.aws.definitions import Definition
from parkmeter.aws.wiring import PATIENCE
from parkmeter.core.meter import Meter, is_open

log = logging.getLogger(__name__)

_VARIANT = "AllTraffic"
"""The same as in `stacks/names.py`."""


@dataclass(frozen=True, slots=True)
class MeteredQueues:
    """The queues whose meter limits them. `scaling`: a client of Application Auto Scaling.

    `names`: their endpoints, which a sweep looks at although their meters are settled.
    """

    names: frozenset[str] = frozenset()
    scaling: Any = None

    @classmethod
    def of_environment(cls) -> "MeteredQueues":
        """Return those of this function's environment; without any, no client is made."""
        names = frozenset(os.environ.get("PARKMETER_METERED_QUEUES", "").split())
        scaling = boto3.client("application-autoscaling", config=PATIENCE) if names else None
        return cls(names, scaling)

    def follow(
        self, endpoint: str, definition: Definition | None, meter: Meter, now: datetime
    ) -> None:
        """Allow the configured instances while the meter is open, else none. May be repeated.

        `endpoint`: the async endpoint's name, as the stacks give it. Without a definition it is not
        known how many instances an open meter allows, so their limit stays.

        Raises:
            BotoCoreError, ClientError: AWS does not answer, or refuses; a later call retries.

        """
        queue = definition.queue if definition else None
        if self.scaling is None or (definition and not (queue and queue.metered_instances)):
            return
        if not is_open(meter, now):
            most = 0
        elif queue is not None and queue.metered_instances is not None:
            most = queue.metered_instances
        else:
            return
        resource = f"endpoint/{endpoint}/variant/{_VARIANT}"
        found: Mapping[str, Any] = self.scaling.describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[resource]
        )
        limits = {target["MaxCapacity"] for target in found["ScalableTargets"]}
        if not limits:  # the async stack is not deployed
            return
        # Registering changes nothing on an endpoint that is just being scaled (AWS), so each sweep
        # repeats the limit of a closed meter: it would keep an instance that was starting then.
        repeated = most == 0 and meter.settled
        if limits == {most} and not repeated:
            return
        self.scaling.register_scalable_target(
            ServiceNamespace="sagemaker",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            ResourceId=resource,
            MinCapacity=0,
            MaxCapacity=most,
        )
        if limits != {most}:
            log.warning("%s may now have %d instances", endpoint, most)
