"""The grants around the scaling of async endpoints.

Knows names, no stacks.
"""

from stacks.iam import Grants
from stacks.iam_role import Grant
from stacks.names import Names

_CHOSEN_NAMES = "CloudFormation chooses the names of EndpointConfigs; reading only"

_SEE_TARGETS = Grant(
    ("application-autoscaling:DescribeScalableTargets",),
    ("*",),
    because="DescribeScalableTargets has no resource (AWS); reading only",
)


def see_scaling(may: Grants, endpoint: str) -> list[Grant]:
    """See the present instance type of an endpoint, and whether its scaling is registered."""
    return [
        Grant(("sagemaker:DescribeEndpoint",), (may.sagemaker("endpoint", endpoint),)),
        Grant(
            ("sagemaker:DescribeEndpointConfig",),
            (may.sagemaker("endpoint-config", "*"),),
            because=_CHOSEN_NAMES,
        ),
        _SEE_TARGETS,
    ]


def limit_queues(may: Grants, names: Names, endpoints: list[str]) -> list[Grant]:
    """Set the most instances of these endpoints' queues, which their meters limit.

    Application Auto Scaling asks for the permissions of what it then does (guide, IAM).
    """
    queues = tuple(may.sagemaker("endpoint", names.async_endpoint(name)) for name in endpoints)
    return [
        _SEE_TARGETS,
        Grant(
            ("application-autoscaling:RegisterScalableTarget",),
            (may.arn("application-autoscaling", "scalable-target/*"),),
            {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
            "AWS chooses the names of scalable targets; what may be scaled is limited below",
        ),
        Grant(
            ("sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"), queues
        ),
        Grant(
            ("sagemaker:DescribeEndpointConfig",),
            (may.sagemaker("endpoint-config", "*"),),
            because=_CHOSEN_NAMES,
        ),
    ]
