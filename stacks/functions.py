"""The construct of every Lambda function: role, log group, literal name, common environment.

Knows the runtime and the source of the code; the stack gives the function's permissions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aws_cdk import Duration, RemovalPolicy, Stack, aws_lambda, aws_logs
from constructs import Construct

from stacks.encryption import use_key
from stacks.iam import Grants
from stacks.iam_role import Grant, role
from stacks.names import Names, log_group
from stacks.settings import Settings

RUNTIME = aws_lambda.Runtime.PYTHON_3_14
ARCHITECTURE = aws_lambda.Architecture.ARM_64

_RETENTION = {
    7: aws_logs.RetentionDays.ONE_WEEK,
    30: aws_logs.RetentionDays.ONE_MONTH,
    90: aws_logs.RetentionDays.THREE_MONTHS,
    365: aws_logs.RetentionDays.ONE_YEAR,
}


class Packages(Protocol):
    """The source of functions' code: `bundling.LambdaPackages`, or a stub in tests."""

    def code(self, module: str) -> aws_lambda.Code:
        """Return the package with the handler `<module>.handler`."""
        ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """The inputs of every stack with functions."""

    settings: Settings
    packages: Packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The properties of one function.

    `retries`, `event_age_seconds`: of async invocations. `reserved`: concurrent runs that Lambda
    keeps for it, which are also its most; None: it shares what the account has left.
    """

    name: str
    module: str
    description: str
    timeout_seconds: int
    memory_megabytes: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    retries: int | None = None
    event_age_seconds: int | None = None
    reserved: int | None = None


class MeterFunction(Construct):
    """A function with its role and log group; all are deleted with the stack."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        program: Program,
        grants: Sequence[Grant],
    ) -> None:
        super().__init__(scope, construct_id)
        settings, name = deployment.settings, program.name
        write_logs = Grants(Stack.of(self), settings.names).write_logs(log_group(name))
        with_key = use_key(settings, settings.region, "dynamodb", "s3")
        age = program.event_age_seconds
        self.function = aws_lambda.Function(
            self,
            "Function",
            function_name=name,
            description=program.description,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            handler=f"{program.module}.handler",
            code=deployment.packages.code(program.module),
            role=role(self, "Role", "lambda.amazonaws.com", [write_logs, *with_key, *grants]),
            log_group=kept_log_group(self, "Logs", log_group(name), settings.log_days),
            timeout=Duration.seconds(program.timeout_seconds),
            memory_size=program.memory_megabytes,
            retry_attempts=program.retries,
            max_event_age=None if age is None else Duration.seconds(age),
            reserved_concurrent_executions=program.reserved,
            environment={**_environment(settings.names), **program.environment},
        )


def _environment(names: Names) -> dict[str, str]:
    return {
        "PARKMETER_PREFIX": names.prefix,
        "PARKMETER_METERS_TABLE": names.meters_table,
        "PARKMETER_AUTH_TABLE": names.auth_table,
        "PARKMETER_ENDPOINTS_PATH": names.endpoints_path,
        "PARKMETER_EXPIRY_PATH": names.expiry_path,
        "PARKMETER_HOURS_PATH": names.hours_path,
        "PARKMETER_CLOCK_FUNCTION": names.clock,
    }


def kept_log_group(scope: Construct, construct_id: str, name: str, days: int) -> aws_logs.LogGroup:
    """Return a log group with this retention that is deleted with its stack.

    Raises:
        ValueError: the number of days is not supported.

    """
    if days not in _RETENTION:
        raise ValueError(f"log_days {days}: one of {', '.join(map(str, _RETENTION))}")
    return aws_logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        retention=_RETENTION[days],
        removal_policy=RemovalPolicy.DESTROY,
    )
