"""`<Name>LambdaStack`: the function that takes one endpoint's prompts.

Its name is literal, so that the API finds it without depending on this stack.
"""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from stacks.functions import Deployment, MeterFunction, Program
from stacks.iam import Grants
from stacks.settings import Endpoint

TIMEOUT_SECONDS = 29
"""API Gateway's limit; the handler gives the model 27."""


class LambdaStack(Stack):
    """A function that reads the meter and calls the model, and may do nothing else.

    For an endpoint that prompts wake, it forwards prompts to a closed meter to control; for one
    with an idle limit, it notes each use.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        endpoint: Endpoint,
        **of: Any,
    ) -> None:
        super().__init__(scope, construct_id, **of)
        names = deployment.settings.names
        may = Grants(self, names)
        MeterFunction(
            self,
            "Inference",
            deployment,
            Program(
                name=names.inference(endpoint.name),
                module="parkmeter.aws.inference",
                description=f"Prompts of {endpoint.name}: checks the meter, calls the model.",
                timeout_seconds=TIMEOUT_SECONDS,
                # CPU grows with memory, and a cold start delays a prompt.
                memory_megabytes=1024,
                reserved=endpoint.prompts_at_once,
                environment={
                    "PARKMETER_ENDPOINT": endpoint.name,
                    "PARKMETER_CONTROL_FUNCTION": names.control,
                    "PARKMETER_NOTES_USE": "0" if endpoint.idle_minutes is None else "1",
                },
            ),
            [
                may.read_meter(endpoint.name),
                may.read_endpoint(endpoint.name),
                may.invoke(names.endpoint(endpoint.name)),
                *([may.wake(names.control)] if endpoint.wake_minutes is not None else []),
                *([may.note_use(endpoint.name)] if endpoint.idle_minutes is not None else []),
            ],
        )
