"""Prices from the Price List; no deployment fails for want of one."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from parkmeter.aws import price
from parkmeter.aws.definitions import definition_from
from parkmeter.core.meter import Price
from tests.support.custom_resources import CloudFormation, cloudformation, request

KIND, OTHER, REGION = "ml.g5.2xlarge", "ml.g5.24xlarge", "eu-west-1"


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
    assert price.prices_in(listed, [KIND], REGION) == {KIND: Decimal("1.7")}
    filters = {one["Field"]: one["Value"] for one in listed.asked[0]["Filters"]}
    assert filters == {"regionCode": REGION, "component": "Hosting"}
    assert listed.asked[0]["ServiceCode"] == "AmazonSageMaker"


def test_all_types_are_looked_up_in_one_go_and_one_that_is_not_listed_is_left_out():
    listed = PriceList([product("9.99", OTHER)], [product("1.7")])
    kinds = [KIND, OTHER, "ml.g5.48xlarge"]
    found = {KIND: Decimal("1.7"), OTHER: Decimal("9.99")}
    assert price.prices_in(listed, kinds, REGION) == found
    assert len(listed.asked) == 1


def test_a_type_is_known_by_its_older_name_too():
    older = product("1.7", f"{KIND}-Hosting", named="instanceType")
    assert price.prices_in(PriceList([older]), [KIND], REGION) == {KIND: Decimal("1.7")}


@pytest.mark.parametrize(
    "products",
    [
        [],
        [product("0.0000000000")],
        [product("1.7", unit="GB")],
        [product("1000000000")],
        [product("much")],
        [product(None)],
        [product("1.7"), product("1.8")],
    ],
    ids=[
        "none",
        "free tier",
        "not by the hour",
        "beyond all sense",
        "no number",
        "other money",
        "several",
    ],
)
def test_what_is_not_plainly_listed_is_unknown_and_never_zero(products: list[dict[str, Any]]):
    assert price.prices_in(PriceList(products), [KIND], REGION) == {}


def asked(server: CloudFormation, kind: str = "Create", **more: str) -> dict[str, Any]:
    properties = {"Name": "flan-t5", "InstanceTypes": [KIND, OTHER], "Region": REGION, **more}
    price.handler(request(server, kind) | {"ResourceProperties": properties}, None)
    return server.last


def test_the_answer_has_price_source_and_date_of_each_type(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(price.boto3, "client", lambda *_, **__: PriceList([product("1.70")]))
    said = asked(answers)
    assert said["Status"] == "SUCCESS"
    assert said["Data"].pop(f"{KIND}.Source").startswith("AWS Price List, 20")
    assert said["Data"] == {
        f"{KIND}.PricePerHour": "1.7",
        f"{OTHER}.PricePerHour": "",
        f"{OTHER}.Source": "",
    }


def test_the_price_is_that_of_all_instances(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(price.boto3, "client", lambda *_, **__: PriceList([product("1.70")]))
    assert asked(answers, InstanceCount="3")["Data"][f"{KIND}.PricePerHour"] == "5.1"


def test_where_one_region_does_not_answer_another_is_asked(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    gone = PriceList(error=EndpointConnectionError(endpoint_url="x"))
    lists = {"us-east-1": gone, "eu-central-1": PriceList([product("1.7")])}
    monkeypatch.setattr(price.boto3, "client", lambda _, region_name, **__: lists[region_name])
    assert asked(answers)["Data"][f"{KIND}.PricePerHour"] == "1.7"


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
        assert said["Status"] == "SUCCESS"
        assert set(said.get("Data", {}).values()) == (set() if kind == "Delete" else {""})


def document(*variants: dict[str, Any], **more: Any) -> str:
    """A definition as a stack writes it."""
    said = {
        "endpoint": "parkmeter-flan-t5",
        "variants": variants,
        "api_resource": "flan",
        "max_top_up_minutes": 1440,
        "max_minutes_ahead": 10080,
        "startup_credit_minutes": 30,
        "drain_seconds": 30,
        "warn_minutes": [10, 2],
    }
    return json.dumps(said | more)


def variant(kind: str, dollars: str | None, source: str | None) -> dict[str, Any]:
    return {
        "instance_type": kind,
        "config": f"on-{kind}",
        "price_per_hour": dollars,
        "price_source": source,
    }


LISTED = "AWS Price List, 2026-01-01"


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (document(variant(KIND, "1.7", LISTED), variant(OTHER, "9.9", LISTED)), ("1.7", "9.9")),
        (document(variant("ml.g5.48xlarge", "1.7", LISTED)), ("", "")),
        (
            document(variant(KIND, "1.7", "configuration"), variant(OTHER, "9.9", LISTED)),
            ("", "9.9"),
        ),
        (document(variant(KIND, "", "")), ("", "")),
        (
            document(
                {"instance_type": KIND, "config": "c"},
                {"instance_type": OTHER, "config": "c"},
                price_per_hour="1.7",
                price_source=LISTED,
            ),
            ("1.7", ""),
        ),
    ],
    ids=["known", "another type", "configured", "unknown", "before each type had its own"],
)
def test_a_hiccup_of_the_price_list_does_not_make_a_known_price_unknown(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch, before: str, told: tuple[str, str]
):
    class Parameters(PriceList):
        def get_parameter(self, Name: str) -> dict[str, Any]:  # noqa: N803 (boto3's)
            assert Name == "/parkmeter/endpoints/flan-t5"
            return {"Parameter": {"Name": Name, "Value": before}}

    monkeypatch.setenv("PARKMETER_ENDPOINTS_PATH", "/parkmeter/endpoints/")
    gone = Parameters(error=EndpointConnectionError(endpoint_url="x"))
    monkeypatch.setattr(price.boto3, "client", lambda *_, **__: gone)
    said = asked(answers, "Update")["Data"]
    for kind, dollars in zip((KIND, OTHER), told, strict=True):
        assert said[f"{kind}.PricePerHour"] == dollars
        assert said[f"{kind}.Source"] == (LISTED if dollars else "")
    assert set(asked(answers)["Data"].values()) == {""}


@pytest.mark.parametrize(
    ("dollars", "source", "prices"),
    [
        ("", "", {}),
        (None, None, {}),
        ("1.7", LISTED, {KIND: Price(Decimal("1.7"), LISTED)}),
        ("1.7", None, {KIND: Price(Decimal("1.7"))}),
    ],
)
def test_a_definition_without_a_price_has_no_source_either(dollars, source, prices):
    as_now = document(variant(KIND, dollars, source), price_per_hour="8", price_source="x")
    as_once = document(
        {"instance_type": KIND, "config": "c"},
        {"instance_type": OTHER, "config": "c"},
        price_per_hour=dollars,
        price_source=source,
    )
    assert definition_from(as_now, "/p/flan-t5").spec.prices == prices
    assert definition_from(as_once, "/p/flan-t5").spec.prices == prices


def test_a_hiccup_while_the_number_of_instances_changes_keeps_the_price_of_one(
    answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    class Parameters(PriceList):
        def get_parameter(self, Name: str) -> dict[str, Any]:  # noqa: N803 (boto3's)
            return {"Parameter": {"Name": Name, "Value": document(variant(KIND, "3.4", LISTED))}}

    monkeypatch.setenv("PARKMETER_ENDPOINTS_PATH", "/parkmeter/endpoints/")
    gone = Parameters(error=EndpointConnectionError(endpoint_url="x"))
    monkeypatch.setattr(price.boto3, "client", lambda *_, **__: gone)
    properties = {"Name": "flan-t5", "InstanceTypes": [KIND], "Region": REGION}
    event = request(answers, "Update") | {
        "ResourceProperties": properties | {"InstanceCount": "3"},
        "OldResourceProperties": properties | {"InstanceCount": "2"},
    }
    price.handler(event, None)
    assert answers.last["Data"][f"{KIND}.PricePerHour"] == "5.1"
