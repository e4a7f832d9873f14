"""The account's limits: Service Quotas for SageMaker, and Lambda's account settings.

Neither is moto's. The applied quotas are those that the SageMaker simulator enforces.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

_TARGET = "ServiceQuotasV20190624."
_SETTINGS = "/2016-08-19/account-settings"
_MOST_IN_A_PAGE = 100
_JSON = "application/x-amz-json-1.1"

DEFAULT_QUOTAS = {"ml.m5.large": 4, "ml.g5.12xlarge": 2, "ml.g5.24xlarge": 1}
"""Instances by type, as an account with some history may have them."""


class AccountLimits:
    """A handler of `MotoServices`.

    `quotas`: the applied ones, instances by type; `defaults`: those of types without an applied
    one, 0 and more. `concurrent_functions`: Lambda's limit.
    """

    def __init__(
        self,
        quotas: Mapping[str, int],
        defaults: Mapping[str, int] = DEFAULT_QUOTAS,
        concurrent_functions: int = 1000,
    ) -> None:
        self._quotas = quotas
        self.defaults = dict(defaults)
        self.concurrent_functions = concurrent_functions

    def handle(self, request: Request) -> Response | None:
        """Answer a request for limits; None for any other."""
        if request.path.rstrip("/") == _SETTINGS:
            return _answer(self._account_settings())
        target = request.headers.get("X-Amz-Target", "")
        if not target.startswith(_TARGET):
            return None
        members = json.loads(request.get_data() or b"{}")
        operation = target.removeprefix(_TARGET)
        match operation:
            case "ListServiceQuotas":
                return _answer(_page(self._quotas, members))
            case "ListAWSDefaultServiceQuotas":
                return _answer(_page(self.defaults, members))
            case "RequestServiceQuotaIncrease":
                return self._requested(members)
            case _:
                return _refused("NotSimulated", f"The simulator has no {operation}.", 501)

    def _account_settings(self) -> dict[str, Any]:
        limit = {
            "ConcurrentExecutions": self.concurrent_functions,
            "UnreservedConcurrentExecutions": self.concurrent_functions,
        }
        return {"AccountLimit": limit, "AccountUsage": {}}

    def _requested(self, members: dict[str, Any]) -> Response:
        codes = {_code(kind) for kind in {**self.defaults, **self._quotas}} | {"L-B99A9384"}
        if members["QuotaCode"] not in codes:
            return _refused("NoSuchResourceException", "There is no such quota.")
        wanted = {key: members[key] for key in ("ServiceCode", "QuotaCode", "DesiredValue")}
        return _answer({"RequestedQuota": {**wanted, "Status": "PENDING"}})


def _page(quotas: Mapping[str, int], members: dict[str, Any]) -> dict[str, Any]:
    if members["ServiceCode"] != "sagemaker":
        return {"Quotas": []}
    start = int(members.get("NextToken", 0))
    end = start + min(members.get("MaxResults", _MOST_IN_A_PAGE), _MOST_IN_A_PAGE)
    listed = [
        {
            "ServiceCode": "sagemaker",
            "QuotaName": f"{kind} for endpoint usage",
            "QuotaCode": _code(kind),
            "Value": float(limit),
            "Adjustable": True,
        }
        for kind, limit in sorted(quotas.items())
    ]
    more = {"NextToken": str(end)} if end < len(listed) else {}
    return {"Quotas": listed[start:end], **more}


def _code(kind: str) -> str:
    return f"L-{zlib.crc32(kind.encode()):08X}"


def _answer(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document), mimetype=_JSON)


def _refused(code: str, message: str, status: int = 400) -> Response:
    return Response(json.dumps({"__type": code, "message": message}), status, mimetype=_JSON)
