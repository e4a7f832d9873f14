"""Asynchronous inference: runs accepted jobs from their input in S3 to their result in S3."""

import http.client
import json
import threading
from typing import Any, Self

from simulator.iam.call import Call
from simulator.sagemaker.account import Account
from simulator.sagemaker.messages import AsyncJob
from simulator.sagemaker.models import bucket_and_key

POLL_INTERVAL = 0.1
"""Seconds."""

ANSWER_TIMEOUT = 120.0
"""Seconds."""


class AsyncInference:
    """A thread that runs accepted jobs one after another, each once, while there are instances."""

    def __init__(self, account: Account, s3: Any, sns: Any) -> None:
        self._account = account
        self._s3 = s3
        self._sns = sns
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run_all, name="async jobs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.set()
        self._thread.join()

    def _run_all(self) -> None:
        while not self._closing.wait(POLL_INTERVAL):
            while not self._closing.is_set() and (job := take(self._account)):
                self._run(job)

    def _run(self, job: AsyncJob) -> None:
        try:
            body = job.body if job.input_location is None else self._read(job)
            status, answer, kind = _invoke(job, body or b"")
        except Exception as error:  # noqa: BLE001 (any error fails the job)
            status, answer, kind = 0, str(error).encode(), "text/plain"
        succeeded = status == http.HTTPStatus.OK
        location = job.output_location if succeeded else job.failure_location
        bucket, key = bucket_and_key(location)
        if self._permits(job, "s3", "PutObject", Bucket=bucket, Key=key):
            self._s3.put_object(Bucket=bucket, Key=key, Body=answer, ContentType=kind)
        topic = job.topics.get("SuccessTopic" if succeeded else "ErrorTopic")
        if topic and self._permits(job, "sns", "Publish", TopicArn=topic):
            self._publish(topic, job, succeeded=succeeded)

    def _read(self, job: AsyncJob) -> bytes:
        assert job.input_location is not None
        bucket, key = bucket_and_key(job.input_location)
        # The role's permissions after the guide's "Asynchronous inference prerequisites".
        if not (
            self._permits(job, "s3", "ListObjectsV2", Bucket=bucket)
            and self._permits(job, "s3", "GetObject", Bucket=bucket, Key=key)
        ):
            raise PermissionError(f"{job.role} may not read {job.input_location}")
        return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def _permits(self, job: AsyncJob, service: str, operation: str, **parameters: str) -> bool:
        call = Call(service, operation, parameters)
        return self._account.access.permits(job.role, "SageMaker", call)

    def _publish(self, topic: str, job: AsyncJob, *, succeeded: bool) -> None:
        """Publish the outcome, in the form of the guide's "Check prediction results"."""
        message = {
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
            "inferenceId": job.inference_id,
            "invocationStatus": "Completed" if succeeded else "Failed",
            "requestParameters": {"endpointName": job.endpoint},
            "responseParameters": {"outputLocation": job.output_location} if succeeded else {},
        }
        self._sns.publish(TopicArn=topic, Message=json.dumps(message))


def _invoke(job: AsyncJob, body: bytes) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection(job.container, timeout=ANSWER_TIMEOUT)
    try:
        connection.request("POST", "/invocations", body, job.headers)
        response = connection.getresponse()
        kind = response.headers.get("Content-Type", "application/octet-stream")
        return response.status, response.read(), kind
    finally:
        connection.close()


def waiting(account: Account) -> list[AsyncJob]:
    """Return the accepted jobs that are still in their queue."""
    return account.jobs[account.jobs_done :]


def take(account: Account) -> AsyncJob | None:
    """Take the oldest job from the queue; None if there is none, or no instance to run it."""
    with account.lock:
        job = next(iter(waiting(account)), None)
        if job is not None and not _has_instance(account, job):
            return None
        account.jobs_done += job is not None
        return job


def _has_instance(account: Account, job: AsyncJob) -> bool:
    """Return whether an instance takes the job; a deleted endpoint's jobs fail at once."""
    present = {one.name: one for one in account.endpoints()}
    return job.endpoint not in present or present[job.endpoint].instances > 0
