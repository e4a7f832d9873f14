"""The wiring of IAM into a simulated cloud: what it knows of the account, and the way into moto."""

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping

from werkzeug.wrappers import Request, Response

from simulator.cloudformation.stacks import Resource, Stacks
from simulator.iam.call import Call, DeniedError, UncheckedCallError
from simulator.iam.enforcement import Iam, trusted_in
from simulator.iam.reach import Place
from simulator.iam.wire import HttpRequest, call_of, denial, signature_of
from simulator.moto_services import MotoServices
from simulator.sagemaker.account import ACCOUNT, REGION, Account

HERE = Place(ACCOUNT, REGION)


class KnownAccount:
    """Implements `call.Known` over moto's services and SageMaker's account."""

    def __init__(self, services: MotoServices, sagemaker: Account) -> None:
        self._services = services
        self._sagemaker = sagemaker

    def partition_key(self, table: str) -> str:
        """See `call.Known`."""
        with self._services.lock:
            found = self._services.backend("dynamodb").tables.get(table)
            return "" if found is None else str(found.hash_key_attr)

    def tags(self, arn: str) -> Mapping[str, str]:
        """See `call.Known`."""
        return self._sagemaker.tags_if_any(arn)

    def lacks_object(self, bucket: str, key: str) -> bool:
        """See `call.Known`."""
        with self._services.lock:
            found = self._services.backend("s3", "aws").buckets.get(bucket)
            return found is not None and key not in found.keys

    def trusted_by(self, role: str) -> Collection[str]:
        """See `call.Known`."""
        with self._services.lock:
            for known in self._services.backend("iam", "aws").roles.values():
                if known.arn == role:
                    return set(trusted_in(json.loads(known.assume_role_policy_document)))
        return ()

    def scalable_targets(self, endpoint: str) -> list[str]:
        """See `call.Known`."""
        with self._sagemaker.lock:
            return list(self._sagemaker.scalable.of(endpoint).values())


def deployed_resources(stacks: Stacks) -> Iterator[tuple[str, Resource]]:
    """Return all deployed resources, each with the name of its stack."""
    with stacks.lock:
        return iter(
            [(stack, one) for stack, known in stacks.resources.items() for one in known.values()]
        )


def api_may_invoke(iam: Iam) -> Callable[[str | None, str, str], bool]:
    """Return whether API Gateway may invoke a function, by a role or for a method's ARN."""

    def may_invoke(role: str | None, method: str, function: str) -> bool:
        if role is None:
            return iam.lets_invoke("apigateway.amazonaws.com", method, function)
        return iam.permits(role, "BackplaneAssumeRoleSession", invocation(function))

    return may_invoke


def rule_may_invoke(iam: Iam) -> Callable[[str, str], bool]:
    """Return whether a rule of EventBridge may invoke a function; queues' policies are not held."""
    return lambda rule, target: (
        target.startswith("arn:aws:sqs:") or iam.lets_invoke("events.amazonaws.com", rule, target)
    )


def invocation(function: str) -> Call:
    """Return the call that invokes a function."""
    return Call("lambda", "Invoke", {"FunctionName": function})


class MotoGate:
    """Answers the requests to moto that IAM denies. A `moto_services.Handler`."""

    def __init__(self, iam: Iam) -> None:
        self._iam = iam

    def __call__(self, request: Request) -> Response | None:
        """Return the denial; None if the request may pass."""
        query = request.query_string.decode()
        signature = signature_of(request.headers.get("Authorization", ""), query)
        if signature is None or not self._iam.knows(signature.access_key):
            return None
        body = request.get_data()
        request.environ["wsgi.input"] = io.BytesIO(body)  # for moto, which reads it again
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.environ["RAW_URI"].partition("?")[0]
        http = HttpRequest(request.method, request.host, path, query, headers, body)
        try:
            self._iam.check(signature.access_key, call_of(http, signature.service))
        except UncheckedCallError as unknown:
            self._iam.unchecked(signature.access_key, unknown)
            return self._denied(signature.service, str(unknown))
        except DeniedError as denied:
            return self._denied(signature.service, str(denied))
        return None

    @staticmethod
    def _denied(service: str, message: str) -> Response:
        answer = denial(service, message)
        return Response(answer.body, answer.status, dict(answer.headers))
