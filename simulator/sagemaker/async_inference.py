"""Asynchronous inference: what SageMaker does between an input in S3 and a result in S3.

Knows the simulator's list of accepted jobs, and S3.
"""

import http.client
import threading
from typing import Any, Self
from urllib.parse import urlsplit

from simulator.sagemaker.account import Account
from simulator.sagemaker.messages import AsyncJob

LOOKS_EVERY = 0.1
"""Seconds between looks at the list."""

ANSWERED_WITHIN = 120.0


class Jobs:
    """Runs accepted jobs one after another, each once."""

    def __init__(self, account: Account, s3: Any) -> None:
        self._account = account
        self._s3 = s3
        self._done = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run_all, name="async jobs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run_all(self) -> None:
        while not self._ended.wait(LOOKS_EVERY):
            while self._done < len(self._account.jobs) and not self._ended.is_set():
                job = self._account.jobs[self._done]
                self._done += 1
                self._run(job)

    def _run(self, job: AsyncJob) -> None:
        try:
            body = job.body if job.input_location is None else self._read(job.input_location)
            status, answer, kind = _asked(job, body or b"")
        except Exception as error:  # noqa: BLE001 (whatever it was, the job has failed)
            status, answer, kind = 0, str(error).encode(), "text/plain"
        done = status == http.HTTPStatus.OK
        location = job.output_location if done else job.failure_location
        bucket, key = _place(location)
        self._s3.put_object(Bucket=bucket, Key=key, Body=answer, ContentType=kind)

    def _read(self, location: str) -> bytes:
        bucket, key = _place(location)
        return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def _asked(job: AsyncJob, body: bytes) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection(job.container, timeout=ANSWERED_WITHIN)
    try:
        connection.request("POST", "/invocations", body, job.headers)
        response = connection.getresponse()
        kind = response.headers.get("Content-Type", "application/octet-stream")
        return response.status, response.read(), kind
    finally:
        connection.close()


def _place(location: str) -> tuple[str, str]:
    split = urlsplit(location)
    return split.netloc, split.path.lstrip("/")
