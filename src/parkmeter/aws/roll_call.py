"""A control plane that answers many looks from one listing: a hundred endpoints a call, not one.

SageMaker counts calls and refuses what is too much, so looking at each of many endpoints would take
what stopping them needs. A listing may lag, and says less than a description: it is believed only
where nothing hangs on either. Knows endpoints by their names on SageMaker; decides nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from parkmeter.drivers.sagemaker import PAGE, ControlPlane, Life, every, life_of
from parkmeter.drivers.sagemaker_words import missing
from parkmeter.meter import NEVER

EVERY = timedelta(seconds=5)
"""How often it is listed anew while an endpoint is on its way out."""

_BELIEVED_FOR = 2 * EVERY

WORTH_IT = 10
"""Fewer endpoints are as quickly looked at one by one."""


class RollCall:
    """Implements `ControlPlane`; for one run of the clock.

    `ready`: for endpoints that got ready, when. One that is listed and was made before that is the
    same one; listed in service, it serves until its end is asked for: what changes meanwhile,
    events tell, or the next run sees.
    `again` is called when an endpoint has begun to go, so that its end is seen in a list as well.
    `ours`: lives that are known to be ours; those that were ours when they got ready are added.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (what one run knows)
        self,
        sagemaker: ControlPlane,
        prefix: str,
        ready: Mapping[str, datetime],
        now: Callable[[], datetime],
        again: Callable[[], None],
        ours: set[Life],
    ) -> None:
        self._sagemaker = sagemaker
        self._prefix = prefix
        self._ready = dict(ready)
        self._now = now
        self._again = again
        self._ours = ours
        self._serving: dict[str, Mapping[str, Any]] = {}
        self._leaving: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self._gone: set[str] = set()

    def call(self) -> None:
        """List all.

        Raises:
            ClientError, BotoCoreError: what was listed before is believed a little longer.

        """
        at = self._now()
        found = list(
            every("Endpoints", self.list_endpoints, MaxResults=PAGE, NameContains=self._prefix)
        )
        listed = {one["EndpointName"]: one for one in found}
        asked_meanwhile = {name: one for name, one in self._leaving.items() if one[0] >= at}
        self._gone = (self._gone | self._leaving.keys()) - listed.keys() - asked_meanwhile.keys()
        self._leaving = asked_meanwhile | {
            name: (at, one) for name, one in listed.items() if one["EndpointStatus"] == "Deleting"
        }
        known = {name: one for name, one in listed.items() if self._is_as_known(one)}
        self._ours.update(map(life_of, known.values()))
        self._serving = {
            name: one
            for name, one in known.items()
            if one["EndpointStatus"] == "InService" and name not in self._leaving
        }
        if self._leaving:
            self._again()

    def _is_as_known(self, found: Mapping[str, Any]) -> bool:
        since = self._ready.get(found["EndpointName"])
        return since is not None and found["CreationTime"] <= since

    # ── The control plane ────────────────────────────────────────────────────────────────────────

    def describe_endpoint(self, **request: Any) -> Mapping[str, Any]:
        """From the list where it will do."""
        name = request["EndpointName"]
        at, leaving = self._leaving.get(name, (NEVER, {}))
        if self._now() - at < _BELIEVED_FOR:
            return leaving
        if name in self._gone:
            self._gone.discard(name)  # told once: somebody may have started it again by the next
            raise missing(name)
        return self._serving.get(name) or self._sagemaker.describe_endpoint(**request)

    def delete_endpoint(self, **request: Any) -> Mapping[str, Any]:
        """What SageMaker accepts is on its way out; what it refuses is not as it was believed."""
        name = request["EndpointName"]
        known = self._serving.pop(name, None)
        answer = self._sagemaker.delete_endpoint(**request)
        if known is not None:
            at = self._now()
            going = {**known, "EndpointStatus": "Deleting", "LastModifiedTime": at}
            self._leaving[name] = at, going
        self._again()
        return answer

    def create_endpoint(self, **request: Any) -> Mapping[str, Any]:  # noqa: D102
        return self._sagemaker.create_endpoint(**request)

    def list_endpoints(self, **request: Any) -> Mapping[str, Any]:  # noqa: D102
        return self._sagemaker.list_endpoints(**request)

    def list_tags(self, **request: Any) -> Mapping[str, Any]:  # noqa: D102
        return self._sagemaker.list_tags(**request)
