"""Do SageMaker's quotas let the endpoints of a deployment start, one by one and all at once?"""

from collections import Counter
from collections.abc import Iterator

from parkmeter.aws.doctor.account import Account
from parkmeter.aws.doctor.deployment import Deployment
from parkmeter.aws.service_quotas import quotas_of
from parkmeter.core.finding import Finding, good, note, wrong
from parkmeter.drivers.sagemaker_errors import Refusal, classify


def examine_quotas(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Check the quota of every instance type of the deployment."""
    preferred, others = _needed(account, deployment)
    if not preferred:
        return
    quotas = quotas_of(account.client("service-quotas"), preferred.keys() | others.keys())
    startable = {
        name: [kind for kind in one.spec.variants if kind in quotas and quotas[kind].limit > 0]
        for name, one in deployment.definitions.items()
    }
    for kind in sorted(preferred.keys() | others.keys()):
        if kind not in quotas:
            yield note(
                kind,
                "Service Quotas does not list it",
                "See the console: Service Quotas, SageMaker",
            )
            continue
        quota, need = quotas[kind], max(preferred[kind], others[kind])
        request = account.in_region(quota.request(need))
        using = [name for name, one in deployment.definitions.items() if kind in one.spec.variants]
        stuck = [name for name in using if not startable[name]]
        if quota.limit == 0 and stuck:
            yield wrong(kind, f"the quota is 0: {', '.join(stuck)} cannot start", request)
        elif quota.limit == 0:
            instead = ", ".join(sorted({startable[name][0] for name in using}))
            yield note(kind, f"the quota is 0; {', '.join(using)} runs on {instead}", request)
        elif quota.limit < need:
            yield note(
                kind,
                f"the quota is {quota.limit}; all endpoints at once, async ones included, take "
                f"{need}",
                request,
            )
        else:
            yield good(kind, f"the quota is {quota.limit}")


def _needed(account: Account, deployment: Deployment) -> tuple[Counter[str], Counter[str]]:
    """Return instances by type: of first choices, all at once, and of the others, one by one."""
    preferred: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for one in deployment.definitions.values():
        first, *rest = one.spec.variants
        count = _instances(account, one.configs[first])
        preferred[first] += count
        if one.queue is not None and _exists(account, one.queue.endpoint):
            preferred[first] += one.queue.metered_instances or count
        for kind in rest:
            others[kind] = max(others[kind], count)
    return preferred, others


def _instances(account: Account, config: str) -> int:
    """Return the instances of an endpoint; 1 if its configuration is gone: another finding."""
    try:
        described = account.sagemaker.describe_endpoint_config(EndpointConfigName=config)
    except account.sagemaker.exceptions.ClientError:
        return 1
    count: int = described["ProductionVariants"][0].get("InitialInstanceCount", 1)
    return count


def _exists(account: Account, endpoint: str) -> bool:
    try:
        account.sagemaker.describe_endpoint(EndpointName=endpoint)
    except account.sagemaker.exceptions.ClientError as error:
        if classify(error) is Refusal.MISSING:
            return False
        raise
    return True
