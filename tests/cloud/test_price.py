"""What the Price List says an hour costs, and that no deployment fails for want of a price."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from parkmeter.aws import price
from parkmeter.aws.definitions import definition_from
from tests.cloud.custom_resources import CloudFormation, cloudformation, request

KIND, REGION = "ml.g5.2xlarge", "eu-west-1"


class PriceList:
    """Behaves as boto3's pricing client: pages of products as texts."""

    def __init__(self, *pages: list[dict[str, Any]], error: Exception | None = None) -> None:
        self.pages, self.error = pages, error
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, operation: str) -> "PriceList":
        assert operation == "get_products"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        for page in self.pages:
            yield {"PriceList": [json.dumps(product) for product in page]}


def product(
    usd: str | None, kind: str = KIND, unit: str = "Hrs", named: str = "instanceName"
) -> dict[str, Any]:
    per_unit = {"CNY": "1"} if usd is None else {"USD": usd}
    dimension = {"unit": unit, "pricePerUnit": per_unit, "beginRange": "0", "endRange": "Inf"}
    return {
        "serviceCode": "AmazonSageMaker",
        "product": {
            "productFamily": "ML Instance",
            "attributes": {"component": "Hosting", "regionCode": REGION, named: kind},
        },
        "terms": {"OnDemand": {"X.Y": {"priceDimensions": {"X.Y.Z": dimension}}}},
    }


@pytest.fixture
def answers() -> Iterator[CloudFormation]:
    with cloudformation() as server:
        yield server


def test_the_price_is_that_of_hosting_on_this_type_in_this_region():
    listed = PriceList(
        [product("9.99", "ml.g5.24xlarge"), product("1.7")], [product("1.7000000000")]
    )
    assert price.price_in(listed, KIND, REGION) == Decimal("1.7")
    filters = {one["Field"]: one["Value"] for one in listed.asked[0]["Filters"]}
    assert filters == {"regionCode": REGION, "component": "Hosting"}
    assert listed.asked[0]["ServiceCode"] == "AmazonSageMaker"


def test_a_type_is_known_by_its_older_name_too():
    older = product("1.7", f"{KIND}-Hosting", named="instanceType")
    assert price.price_in(PriceList([older]), KIND, REGION) == Decimal("1.7")


@pytest.mark.parametrize(
    "products",
    [
        [],
        [product("0.0000000000")],
        [product("1.7", unit="GB")],
        [product("much")],
        [product(None)],
        [product("1.7"), product("1.8")],
    ],
    ids=["none", "free tier", "not by the hour", "no number", "other money", "several"],
)
def test_what_is_not_plainly_listed_is_unknown_and_never_zero(products: list[dict[str, Any]]):
    assert price.price_in(PriceList(products), KIND, REGION) is None


def asked(server: CloudFormation, kind: str = "Create") -> dict[str, Any]:
    properties = {"Name": "flan-t5", "InstanceType": KIND, "Region": REGION}
    price.handler(request(server, kind) | {"ResourceProperties": properties}, None)
    return server.last


def test_the_answer_has_price_source_and_date(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(price.boto3, "client", lambda *_, **__: PriceList([product("1.70")]))
    said = asked(answers)
    assert said["Status"] == "SUCCESS"
    assert said["Data"]["PricePerHour"] == "1.7"
    assert said["Data"]["Source"].startswith("AWS Price List, 20")


def test_where_one_region_does_not_answer_another_is_asked(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    gone = PriceList(error=EndpointConnectionError(endpoint_url="x"))
    lists = {"us-east-1": gone, "eu-central-1": PriceList([product("1.7")])}
    monkeypatch.setattr(price.boto3, "client", lambda _, region_name, **__: lists[region_name])
    assert asked(answers)["Data"]["PricePerHour"] == "1.7"


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetProducts"),
        EndpointConnectionError(endpoint_url="x"),
        KeyError("terms"),
    ],
)
def test_a_deployment_never_fails_for_want_of_a_price(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    monkeypatch.setattr(price.boto3, "client", lambda *_, **__: PriceList(error=error))
    for kind in ("Create", "Update", "Delete"):
        said = asked(answers, kind)
        assert (said["Status"], said["Data"]) == ("SUCCESS", {"PricePerHour": "", "Source": ""})


@pytest.mark.parametrize(
    ("kind", "source", "told"),
    [
        (KIND, "AWS Price List, 2026-01-01", "1.7"),
        ("ml.g5.48xlarge", "AWS Price List, 2026-01-01", ""),
        (KIND, "configuration", ""),
        (KIND, "", ""),
    ],
)
def test_a_hiccup_of_the_price_list_does_not_make_a_known_price_unknown(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch, kind: str, source: str, told: str
):
    class Parameters(PriceList):
        def get_parameter(self, Name: str) -> dict[str, Any]:  # noqa: N803 (boto3's)
            assert Name == "/parkmeter/endpoints/flan-t5"
            said = {
                "variants": [{"instance_type": kind, "config": "c"}],
                "price_per_hour": "1.7",
                "price_source": source,
            }
            return {"Parameter": {"Value": json.dumps(said)}}

    monkeypatch.setenv("PARKMETER_ENDPOINTS_PATH", "/parkmeter/endpoints/")
    gone = Parameters(error=EndpointConnectionError(endpoint_url="x"))
    monkeypatch.setattr(price.boto3, "client", lambda *_, **__: gone)
    said = asked(answers, "Update")["Data"]
    assert said == {"PricePerHour": told, "Source": source if told else ""}
    assert asked(answers, "Create")["Data"]["PricePerHour"] == ""


@pytest.mark.parametrize(
    ("said", "source", "dollars"),
    [
        ("", "", None),
        (None, None, None),
        ("1.7", "AWS Price List, 2026-11-22", Decimal("1.7")),
        ("1.7", None, Decimal("1.7")),
    ],
)
def test_a_definition_without_a_price_has_no_source_either(said, source, dollars):
    document = {
        "endpoint": "parkmeter-flan-t5",
        "variants": [{"instance_type": KIND, "config": "c"}],
        "api_resource": "flan",
        "price_per_hour": said,
        "price_source": source,
        "max_top_up_minutes": 1440,
        "max_minutes_ahead": 10080,
        "startup_credit_minutes": 30,
        "drain_seconds": 30,
        "warn_minutes": [10, 2],
    }
    spec = definition_from(json.dumps(document), "/p/flan-t5").spec
    assert (spec.price_per_hour, spec.price_source) == (dollars, source or None)
