"""The secret that signs the links in mails on AWS, and their address."""

import threading
from collections.abc import Iterator

import boto3
import pytest

from parkmeter.aws.link_secret import LinkSecret, api_address
from simulator.deployment import Deployed, deployed


@pytest.fixture
def deployment(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with deployed(moto, monkeypatch.setenv) as deployment:
        yield deployment


def secret_of(deployment: Deployed) -> LinkSecret:
    """That of another function."""
    return LinkSecret(deployment.dynamodb, deployment.tables.meters)


def test_functions_that_need_the_secret_at_once_have_the_same_one(deployment: Deployed) -> None:
    found: list[bytes] = []
    begin = threading.Barrier(8)

    def need() -> None:
        secret = secret_of(deployment)
        begin.wait()
        found.append(secret())

    functions = [threading.Thread(target=need) for _ in range(8)]
    for function in functions:
        function.start()
    for function in functions:
        function.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(found[0]) == 32


def test_whoever_comes_second_has_what_was_made_between_looking_and_making(
    deployment: Deployed,
) -> None:
    def late(count: int) -> bytes:
        secret_of(deployment)()
        return b"\0" * count

    secret = LinkSecret(deployment.dynamodb, deployment.tables.meters, late)
    assert secret() == secret_of(deployment)() != b"\0" * 32


def test_the_secret_is_read_once_in_a_functions_life(deployment: Deployed) -> None:
    secret = secret_of(deployment)
    known = secret()
    deployment.dynamodb.delete_table(TableName=deployment.tables.meters)
    assert secret() == known


def test_two_deployments_have_two_secrets(
    deployment: Deployed, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployed(moto, monkeypatch.setenv) as other:
        assert secret_of(deployment)() != secret_of(other)()


def test_the_address_is_known_as_long_as_the_api_is_there(deployment: Deployed) -> None:
    name = deployment.path.replace("/endpoints/", "/address")
    assert api_address(deployment.ssm, name) is None
    deployment.ssm.put_parameter(Name=name, Value="https://a.example.org/prod/", Type="String")
    assert api_address(deployment.ssm, name) == "https://a.example.org/prod"


def test_where_it_cannot_be_asked_for_a_mail_goes_without(deployment: Deployed) -> None:
    unreachable = boto3.client("ssm", endpoint_url="http://localhost:9")
    assert api_address(unreachable, "/parkmeter/address") is None
    unreachable.close()
