"""Configs, quotas, tags, lists, faults and validation of the simulated control plane.

Each test states a fact of the real service; the client is boto3.
"""

import http.client
import json
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from simulator.sagemaker import refusals
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.service_model import InventedAnswerError, hold_to_model, service
from tests.support.sagemaker_calls import ARN, code, create, message, ready, status

# ── Configs, quotas, tags ────────────────────────────────────────────────────────────────────────


def test_a_missing_config_is_told_apart_by_the_message_only(control):
    with pytest.raises(ClientError) as refused:
        create(control, config="on-nothing")
    assert code(refused) == "ValidationException"
    assert message(refused).startswith("Could not find endpoint configuration")


def test_a_new_config_is_not_found_at_once(control, sagemaker, clock):
    sagemaker.account.delays = Delays(config=timedelta(seconds=2))
    sagemaker.add_config("fresh", "ml.g5.xlarge")
    with pytest.raises(ClientError) as refused:
        create(control, config="fresh")
    assert message(refused).startswith("Could not find endpoint configuration")
    clock.wind(seconds=2)
    create(control, config="fresh")


def test_a_config_needs_its_model_and_a_known_instance_type(control, sagemaker):
    variant = {"VariantName": "AllTraffic", "ModelName": "none", "InstanceType": "ml.g5.xlarge"}
    with pytest.raises(ClientError) as refused:
        control.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    assert message(refused).startswith("Could not find model")
    with pytest.raises(ClientError) as refused:
        sagemaker.add_config("c", "ml.g5.tiny")
    assert "at 'productionVariants.1.member.InstanceType'" in message(refused)
    assert "Member must satisfy enum value set" in message(refused)


def test_a_config_is_described_as_it_was_made(control):
    found = control.describe_endpoint_config(EndpointConfigName="on-a10g")
    assert found["ProductionVariants"][0]["InstanceType"] == "ml.g5.12xlarge"


def test_deleting_a_config_in_use_is_not_refused_but_noted(control, sagemaker):
    create(control)
    control.delete_endpoint_config(EndpointConfigName="on-a10g")
    assert sagemaker.account.violations == ["on-a10g was deleted while flan used it"]
    with pytest.raises(ClientError):
        control.describe_endpoint_config(EndpointConfigName="on-a10g")


def test_a_create_over_the_quota_is_refused_and_leaves_nothing(control, sagemaker):
    sagemaker.faults.quotas["ml.g5.12xlarge"] = 1
    create(control, "first")
    with pytest.raises(control.exceptions.ResourceLimitExceeded) as refused:
        create(control, "second")
    assert message(refused).startswith(
        "The account-level service limit 'ml.g5.12xlarge for endpoint usage' is 1 Instances, with "
        "current utilization of 1 Instances and a request delta of 1 Instances."
    )
    assert [one["EndpointName"] for one in control.list_endpoints()["Endpoints"]] == ["first"]


def test_tags_are_kept_and_can_be_added(control):
    arn = create(control, Tags=[{"Key": "a", "Value": "1"}])["EndpointArn"]
    control.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    tags = control.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def test_the_tags_of_what_is_missing_are_a_validation_error_of_other_words(control):
    with pytest.raises(ClientError) as refused:
        control.list_tags(ResourceArn=f"{ARN}endpoint/none")
    assert (code(refused), message(refused)) == ("ValidationException", "Resource does not exist.")


# ── Listing ──────────────────────────────────────────────────────────────────────────────────────


def test_a_list_has_ten_a_page_and_a_token_for_the_next(control):
    for number in range(25):
        create(control, f"flan-{number}")
    pages = [control.list_endpoints()]
    while "NextToken" in pages[-1]:
        pages.append(control.list_endpoints(NextToken=pages[-1]["NextToken"]))
    assert [len(page["Endpoints"]) for page in pages] == [10, 10, 5]
    assert len({one["EndpointName"] for page in pages for one in page["Endpoints"]}) == 25


def test_a_page_may_have_a_hundred_and_no_more(control):
    for number in range(11):
        create(control, f"flan-{number}")
    assert len(control.list_endpoints(MaxResults=100)["Endpoints"]) == 11
    with pytest.raises(ClientError):
        control.list_endpoints(MaxResults=101)


def test_paging_goes_on_although_the_last_one_has_gone_meanwhile(control, clock):
    for name in "abcd":
        ready(control, clock, name)
    by_name = {"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
    page = control.list_endpoints(**by_name)
    control.delete_endpoint(EndpointName="b")
    clock.wind(seconds=20)
    page = control.list_endpoints(**by_name, NextToken=page["NextToken"])
    assert [one["EndpointName"] for one in page["Endpoints"]] == ["c", "d"]


def test_a_list_can_be_narrowed_and_comes_newest_first(control, clock):
    for name in ("flan", "falcon", "flan-async"):
        ready(control, clock, name)
    create(control, "flan-new")
    in_service = control.list_endpoints(StatusEquals="InService", NameContains="flan")
    assert [one["EndpointName"] for one in in_service["Endpoints"]] == ["flan-async", "flan"]


def test_a_made_up_token_is_refused(control):
    with pytest.raises(ClientError):
        control.list_endpoints(NextToken="page 2")


# ── Injected faults ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("refusal", [refusals.throttled(), refusals.internal_failure()])
def test_a_refusal_can_be_ordered_and_has_no_effect(control, sagemaker, refusal):
    sagemaker.faults.refuse("CreateEndpoint", refusal)
    with pytest.raises(ClientError) as refused:
        create(control)
    assert code(refused) == refusal.code
    assert control.list_endpoints()["Endpoints"] == []
    create(control)


def test_an_answer_can_be_lost_after_its_effect(control, sagemaker):
    sagemaker.faults.lose_answers("CreateEndpoint")
    with pytest.raises(ConnectionClosedError):
        create(control)
    assert status(control) == "Creating"


# ── Validation by the service model ──────────────────────────────────────────────────────────────


def test_the_simulator_cannot_invent_or_omit_members():
    describe = service("sagemaker").operation_model("DescribeEndpointConfig")
    with pytest.raises(InventedAnswerError, match="Missing required"):
        hold_to_model({}, describe)
    with pytest.raises(InventedAnswerError, match="Unknown parameter"):
        hold_to_model({"EndpointStatusReason": "x"}, describe)
    with pytest.raises(InventedAnswerError, match="enum value set"):
        hold_to_model(
            {"Endpoints": [_summary("Sleeping")]},
            service("sagemaker").operation_model("ListEndpoints"),
        )


def _summary(state):
    return {
        "EndpointName": "flan",
        "EndpointArn": f"{ARN}endpoint/flan",
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "EndpointStatus": state,
    }


def raw(sagemaker, headers, body=b"{}"):
    connection = http.client.HTTPConnection(sagemaker.url.removeprefix("http://"))
    connection.request("POST", "/", body, headers)
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())["__type"]
    connection.close()
    return answer


SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260622/us-east-1/sagemaker/aws4_request",
    "Content-Type": "application/x-amz-json-1.1",
}


def test_what_boto3_would_not_send_is_refused_too(sagemaker):
    describe = {"X-Amz-Target": "SageMaker.DescribeEndpoint"}
    assert raw(sagemaker, describe) == (403, "MissingAuthenticationTokenException")
    assert raw(sagemaker, {**SIGNED, **describe}) == (400, "ValidationException")
    assert raw(sagemaker, {**SIGNED, **describe}, b"{") == (400, "SerializationException")
    unknown = {"X-Amz-Target": "SageMaker.StopEndpoint"}
    assert raw(sagemaker, {**SIGNED, **unknown}) == (400, "UnknownOperationException")
    not_simulated = {"X-Amz-Target": "SageMaker.CreateTrainingJob"}
    assert raw(sagemaker, {**SIGNED, **not_simulated}) == (501, "NotSimulated")


def test_botocore_finds_it_by_its_variables(sagemaker, monkeypatch):
    for name, value in sagemaker.environment().items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("sagemaker")
    assert client.list_endpoints()["Endpoints"] == []
    client.close()
