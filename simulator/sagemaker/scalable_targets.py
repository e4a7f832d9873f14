"""The variants that Application Auto Scaling may change, by their resource ids."""

import hashlib

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"


class ScalableTargets:
    """Scalable targets of one account and region. Not thread-safe.

    `most`: the most instances of each, by resource id, where a limit was given.
    """

    def __init__(self, account: str, region: str) -> None:
        self._where = f"arn:aws:application-autoscaling:{region}:{account}:scalable-target"
        self._arns: dict[str, str] = {}
        self.most: dict[str, int] = {}

    def register(self, resource: str, most: int | None = None) -> str:
        """Register `endpoint/NAME/variant/VARIANT`, or change its limit; return its ARN."""
        if most is not None:
            self.most[resource] = most
        digest = hashlib.sha256(f"{resource} {_DIMENSION}".encode()).hexdigest()[:32]
        return self._arns.setdefault(resource, f"{self._where}/{digest}")

    def deregister(self, resource: str) -> None:
        """Remove a target, if it is registered."""
        self._arns.pop(resource, None)
        self.most.pop(resource, None)

    def all(self) -> dict[str, str]:
        """Return the ARNs of all targets, by resource id."""
        return dict(self._arns)

    def of(self, endpoint: str) -> dict[str, str]:
        """Return the ARNs of the targets of an endpoint's variants, by resource id."""
        beginning = f"endpoint/{endpoint}/".lower()
        return {one: arn for one, arn in self._arns.items() if one.lower().startswith(beginning)}
