"""SageMaker's quotas "for endpoint usage", as Service Quotas lists them.

Many are 0 in a new account: everything deploys, and then nothing starts.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PAGE = 100
_SUFFIX = " for endpoint usage"


@dataclass(frozen=True, slots=True)
class Quota:
    """The number of instances of one type that endpoints may use, and its code."""

    limit: int
    code: str

    def request(self, wanted: int) -> str:
        """Return the `aws` command that asks for more, without its region."""
        return (
            "aws service-quotas request-service-quota-increase --service-code sagemaker "
            f"--quota-code {self.code} --desired-value {wanted}"
        )


def quotas_of(client: Any, kinds: Collection[str]) -> dict[str, Quota]:
    """Return the quota of each instance type: the applied one, else AWS's default.

    Types that are not listed are left out.

    Raises:
        BotoCoreError, ClientError: AWS does not answer, or refuses.

    """
    found: dict[str, Quota] = {}
    # Not every quota has an applied value; those without one are in the second list only.
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        missing = set(kinds) - found.keys()
        if not missing:
            break
        pages = client.get_paginator(operation).paginate(
            ServiceCode="sagemaker", PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            found |= dict(_listed(page["Quotas"], missing))
            if missing <= found.keys():
                break
    return found


def _listed(quotas: list[Mapping[str, Any]], kinds: Collection[str]) -> Iterator[tuple[str, Quota]]:
    for quota in quotas:
        kind = quota["QuotaName"].removesuffix(_SUFFIX)
        if kind in kinds and quota["QuotaName"].endswith(_SUFFIX):
            yield kind, Quota(int(quota["Value"]), quota["QuotaCode"])
