"""A control plane that answers many looks from one listing: a hundred endpoints a call, not one.

SageMaker counts calls and refuses what is too much, so looking at each of many endpoints would take
what stopping them needs. A listing may lag, and says less than a description: it is believed only
where nothing hangs on either. Knows endpoints by their names on SageMaker; decides nothing.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from parkmeter.core.meter import NEVER, Meter, Phase, Run, is_open
from parkmeter.drivers.sagemaker import PAGE, ControlPlane, Identity, identity_of, paginate
from parkmeter.drivers.sagemaker_errors import Refusal, classify, missing_error

EVERY = timedelta(seconds=5)
"""How often it is listed anew while an endpoint is on its way out."""

_BELIEVED_FOR = 2 * EVERY

WORTH_IT = 10
"""Fewer endpoints are as quickly looked at one by one."""

_HAS_SERVED = frozenset({Phase.READY, Phase.STOPPING})
_IS_ENDING = frozenset({Phase.STOPPING, Phase.ABSENT})


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read of a meter, and whether it was open then."""

    run: Run
    open: bool

    def is_of(self, found: Mapping[str, Any]) -> bool:
        """Whether this is the endpoint that the run saw get ready, and not a later one."""
        if self.run.phase not in _HAS_SERVED or self.run.ready_at is None:
            return False
        created: datetime = found["CreationTime"]
        return created <= self.run.ready_at

    def goes_on_from(self, before: "_Reading") -> bool:
        """Whether what was listed for the reading before may still be believed.

        Of one that is to end only as long as it is: then nothing follows but that SageMaker is
        asked for its tags and its end, and says so if it is going or gone.
        """
        if self.run.ready_at != before.run.ready_at:
            return False
        if self.run.phase is Phase.STOPPING:
            return not self.open
        return self.run.phase is before.run.phase is Phase.READY


class RollCall:
    """Implements `ControlPlane`; for one run of the clock, from any of its threads.

    `endpoints`: what the endpoint of each meter is called. Every meter that the run reads it must
    `heed`: one that is listed and was made before its meter saw it ready is the same one; listed in
    service, it serves until its end is asked for. What else changes meanwhile, events tell, or the
    next run sees.
    `again` is called when an endpoint has begun to go, so that its end is seen in a list as well.
    `ours`: lives that are known to be ours; those that were ours when they got ready are added.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (what one run knows)
        self,
        sagemaker: ControlPlane,
        prefix: str,
        endpoints: Mapping[str, str],
        now: Callable[[], datetime],
        again: Callable[[], None],
        ours: set[Identity],
    ) -> None:
        self._sagemaker = sagemaker
        self._prefix = prefix
        self._endpoints = endpoints
        self._now = now
        self._again = again
        self._ours = ours
        self._lock = threading.Lock()  # never held while SageMaker is asked
        self._readings: dict[str, _Reading] = {}
        self._serving: dict[str, Mapping[str, Any]] = {}
        # Each with the moment since which it is known.
        self._leaving: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self._gone: dict[str, datetime] = {}
        self._deleted: dict[str, datetime] = {}

    def heed(self, meter: Meter) -> None:
        """What was listed of another life than this meter's, or before its end, counts no more."""
        name = self._endpoints.get(meter.name)
        if name is None:
            return
        reading = _Reading(meter.run, is_open(meter, self._now()))
        with self._lock:
            before = self._readings.get(name)
            self._readings[name] = reading
            if before is None or not reading.goes_on_from(before):
                self._serving.pop(name, None)
            if meter.run.phase not in _IS_ENDING:
                self._leaving.pop(name, None)
                self._gone.pop(name, None)
            elif meter.run.phase is Phase.ABSENT and name in self._leaving:
                del self._leaving[name]
                self._gone[name] = self._now()  # another run saw it gone

    def call(self) -> None:
        """List all.

        Raises:
            ClientError, BotoCoreError: what was listed before is believed a little longer.

        """
        with self._lock:
            at, read = self._now(), dict(self._readings)
        found = paginate(
            "Endpoints", self.list_endpoints, MaxResults=PAGE, NameContains=self._prefix
        )
        listed = {one["EndpointName"]: one for one in found}
        known = {
            name: one for name, one in listed.items() if name in read and read[name].is_of(one)
        }
        with self._lock:
            # A list may be behind a delete that was accepted before it was begun.
            still = {
                name: one
                for name, one in self._leaving.items()
                if one[0] >= at or (name in listed and at - one[0] < _BELIEVED_FOR)
            }
            ended = self._leaving.keys() - listed.keys() - still.keys()
            self._gone = {
                name: since
                for name, since in (self._gone | dict.fromkeys(ended, at)).items()
                if name not in listed and name not in still
            }
            self._leaving = still | {
                name: (at, one)
                for name, one in listed.items()
                if one["EndpointStatus"] == "Deleting"
            }
            self._ours.update(map(identity_of, known.values()))
            self._serving = {
                name: one
                for name, one in known.items()
                if one["EndpointStatus"] == "InService"
                and one["CreationTime"] > self._deleted.get(name, NEVER)
                and self._readings[name].goes_on_from(read[name])
            }
            leaving = bool(self._leaving)
        if leaving:
            self._again()

    # ── The control plane ────────────────────────────────────────────────────────────────────────

    def describe_endpoint(self, **request: Any) -> Mapping[str, Any]:
        """From the list where it will do."""
        name = request["EndpointName"]
        with self._lock:
            oldest = self._now() - _BELIEVED_FOR
            left_at, leaving = self._leaving.get(name, (NEVER, {}))
            # Told once: somebody may have started it again by the next.
            gone_at = self._gone.pop(name, NEVER)
            serving = self._serving.get(name)
        if left_at > oldest:
            return leaving
        if gone_at > oldest:
            raise missing_error(name)
        return serving or self._sagemaker.describe_endpoint(**request)

    def delete_endpoint(self, **request: Any) -> Mapping[str, Any]:
        """What SageMaker accepts is on its way out; what it refuses is not as it was believed."""
        name = request["EndpointName"]
        with self._lock:
            known = self._serving.pop(name, None)
        answer = self._sagemaker.delete_endpoint(**request)
        with self._lock:
            at = self._deleted[name] = self._now()
            self._serving.pop(name, None)  # a list may have come meanwhile
            if known is not None:
                going = {**known, "EndpointStatus": "Deleting", "LastModifiedTime": at}
                self._leaving[name] = at, going
        self._again()
        return answer

    def create_endpoint(self, **request: Any) -> Mapping[str, Any]:  # noqa: D102
        return self._sagemaker.create_endpoint(**request)

    def list_endpoints(self, **request: Any) -> Mapping[str, Any]:  # noqa: D102
        return self._sagemaker.list_endpoints(**request)

    def list_tags(self, **request: Any) -> Mapping[str, Any]:
        """Whose tags are not there is not there either, whatever was listed."""
        try:
            return self._sagemaker.list_tags(**request)
        except ClientError as error:
            if classify(error) is Refusal.MISSING:
                self._forget(request["ResourceArn"])
            raise

    def _forget(self, arn: str) -> None:
        with self._lock:
            for name, one in list(self._serving.items()):
                if one["EndpointArn"] == arn:
                    del self._serving[name]
