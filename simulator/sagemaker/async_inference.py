"""Asynchronous inference: runs accepted jobs from their input in S3 to their result in S3."""

import http.client
import threading
from typing import Any, Self
from urllib.parse import urlsplit

from simulator.sagemaker.account import Account
from simulator.sagemaker.messages import AsyncJob

POLL_INTERVAL = 0.1
"""Seconds."""

ANSWER_TIMEOUT = 120.0
"""Seconds."""


class AsyncInference:
    """A thread that runs accepted jobs one after another, each once."""

    def __init__(self, account: Account, s3: Any) -> None:
        self._account = account
        self._s3 = s3
        self._done = 0
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
            while self._done < len(self._account.jobs) and not self._closing.is_set():
                job = self._account.jobs[self._done]
                self._done += 1
                self._run(job)

    def _run(self, job: AsyncJob) -> None:
        try:
            body = job.body if job.input_location is None else self._read(job.input_location)
            status, answer, kind = _invoke(job, body or b"")
        except Exception as error:  # noqa: BLE001 (any error fails the job)
            status, answer, kind = 0, str(error).encode(), "text/plain"
        succeeded = status == http.HTTPStatus.OK
        location = job.output_location if succeeded else job.failure_location
        bucket, key = _bucket_and_key(location)
        self._s3.put_object(Bucket=bucket, Key=key, Body=answer, ContentType=kind)

    def _read(self, location: str) -> bytes:
        bucket, key = _bucket_and_key(location)
        return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def _invoke(job: AsyncJob, body: bytes) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection(job.container, timeout=ANSWER_TIMEOUT)
    try:
        connection.request("POST", "/invocations", body, job.headers)
        response = connection.getresponse()
        kind = response.headers.get("Content-Type", "application/octet-stream")
        return response.status, response.read(), kind
    finally:
        connection.close()


def _bucket_and_key(location: str) -> tuple[str, str]:
    split = urlsplit(location)
    return split.netloc, split.path.lstrip("/")
