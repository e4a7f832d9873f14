"""What real SDKs show of a 402: the whole sentence, with the price and the call that tops up."""

import asyncio
from collections.abc import Callable
from typing import Any

import boto3
import botocore.exceptions
import openai
import pytest

from parkmeter.core.meter import Status
from tests.support.gateway_at_work import gateway, on_uvloop


def shown_by_openai(base: str, *, stream: bool = False) -> str:
    with openai.OpenAI(base_url=f"{base}/flan/v1", api_key="t-ada", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as closed:
            client.chat.completions.create(model="flan", messages=[], stream=stream)
        assert (closed.value.status_code, closed.value.code) == (402, "meter_closed")
        assert closed.value.type == "billing_error"
        assert closed.value.body["top_up"]["body"] == {"minutes": 30}
    return str(closed.value)


def shown_by_openai_as_it_streams(base: str) -> str:
    return shown_by_openai(base, stream=True)


def shown_by_boto3(base: str) -> str:
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=base,
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )

    def with_token(request: Any, **_: Any) -> None:
        del request.headers["Authorization"]
        request.headers["Authorization"] = "t-ada"

    client.meta.events.register("before-send.sagemaker-runtime", with_token)
    with pytest.raises(botocore.exceptions.ClientError) as closed:
        client.invoke_endpoint(EndpointName="flan-t5", Body=b"{}")
    assert closed.value.response["Error"]["Code"] == "meter_closed"
    return str(closed.value)


@pytest.mark.parametrize(
    "shown_by", [shown_by_openai, shown_by_openai_as_it_streams, shown_by_boto3]
)
@on_uvloop
async def test_a_402_is_shown_whole(shown_by: Callable[[str], str]):
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0)
        base = f"http://127.0.0.1:{meter.port}"
        said = await asyncio.to_thread(shown_by, base)
    assert (
        "The meter of 'flan-t5' holds no time. Add 30 minutes ($0.55 at $1.10 an hour), then send "
        f"this request again: curl '{base}/endpoints/flan-t5/top-ups' -H 'Authorization: '$TOKEN "
        "-d minutes=30"
    ) in said
