"""Which deployment is examined: found by its clock, whose environment names everything else."""

from collections.abc import Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from parkmeter.aws.definitions import Definition, definition_from, parameters_below
from parkmeter.aws.doctor.account import Account, code_of
from parkmeter.errors import ConfigError
from parkmeter.stores.dynamodb import Tables


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment. `broken`: the message for each definition that cannot be read."""

    prefix: str
    tables: Tables
    topic: str | None
    definitions: Mapping[str, Definition]
    broken: Mapping[str, str]

    @property
    def clock(self) -> str:
        """Return the name of the clock's function."""
        return clock_of(self.prefix)


def clock_of(prefix: str) -> str:
    """Return the name of a deployment's clock (`stacks/names.py`)."""
    return f"{prefix}-clock"


def find_deployment(account: Account, prefix: str) -> Deployment | None:
    """Return the deployment of a prefix; None if it has no clock in this region.

    Raises:
        ClientError, BotoCoreError: its function or its definitions cannot be read.

    """
    try:
        clock = account.functions.get_function_configuration(FunctionName=clock_of(prefix))
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return None
        raise
    environment = clock["Environment"]["Variables"]
    path = environment["PARKMETER_ENDPOINTS_PATH"]
    found: dict[str, Definition] = {}
    broken: dict[str, str] = {}
    for parameter in parameters_below(account.ssm, path):
        name = parameter["Name"].removeprefix(path)
        try:
            found[name] = definition_from(parameter["Value"], parameter["Name"])
        except ConfigError as error:
            broken[name] = error.detail
    return Deployment(
        prefix,
        Tables(environment["PARKMETER_METERS_TABLE"], environment["PARKMETER_AUTH_TABLE"]),
        environment.get("PARKMETER_TOPIC_ARN"),
        dict(sorted(found.items())),
        broken,
    )
