"""The Lambda behind a custom resource that looks up prices of instance types.

Called at deploy time for types without a configured price. A missing price never fails a
deployment: it is unknown, which is empty here, and never zero. Knows the Price List.
"""

import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws import custom_resource
from parkmeter.aws.definitions import definition
from parkmeter.core.meter import UNKNOWN, Price
from parkmeter.core.money import PRICE_PLACES, is_price

log = logging.getLogger(__name__)

SERVICE = "AmazonSageMaker"

_SERVED_IN = ("us-east-1", "eu-central-1")
"""The Price List is served in a few regions only; each has the prices of all regions."""

_PATIENCE = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)
_SOURCE = "AWS Price List"
_HOURLY = frozenset({"hrs", "hours", "hour"})


def handler(event: dict[str, Any], _context: Any) -> None:
    """Answer with `TYPE.PricePerHour` and `TYPE.Source` of each type; empty if unknown.

    The price is that of `InstanceCount` instances.
    """
    wanted = event["ResourceProperties"]
    data: dict[str, str] = {}
    if event["RequestType"] != "Delete":
        kinds = wanted["InstanceTypes"]
        prices = _prices(event, wanted["Name"], kinds, wanted["Region"], _count(wanted))
        for kind in kinds:
            price = prices.get(kind, UNKNOWN)
            dollars = "" if price.per_hour is None else f"{price.per_hour:f}"
            data |= {f"{kind}.PricePerHour": dollars, f"{kind}.Source": price.source or ""}
    custom_resource.succeed(event, f"price-of-{wanted['Name']}", data)


def _prices(
    event: Mapping[str, Any], name: str, kinds: Collection[str], region: str, count: int
) -> Mapping[str, Price]:
    source = f"{_SOURCE}, {datetime.now(UTC):%Y-%m-%d}"
    try:
        listed = listed_prices(kinds, region)
    except Exception:
        log.exception("the prices of %s could not be looked up", kinds)
        return _previous_prices(event, name, count)
    return {kind: Price(dollars * count, source) for kind, dollars in listed.items()}


def _count(properties: Mapping[str, Any]) -> int:
    """Return the number of instances; stacks of earlier versions have one and do not say it."""
    return int(properties.get("InstanceCount", 1))


def _previous_prices(event: Mapping[str, Any], name: str, count: int) -> Mapping[str, Price]:
    """Return the prices found by an earlier deployment: an outage must not lose them."""
    if event["RequestType"] != "Update":
        return {}
    try:
        ssm = boto3.client("ssm", config=_PATIENCE)
        before = definition(ssm, os.environ["PARKMETER_ENDPOINTS_PATH"], name).spec.prices
    except Exception:
        log.exception("the previous prices of %s could not be read either", name)
        return {}
    earlier = _count(event["OldResourceProperties"])

    def scaled(dollars: Decimal) -> Decimal:
        return round(dollars * count / earlier, PRICE_PLACES).normalize()

    return {
        kind: Price(scaled(one.per_hour), one.source)
        for kind, one in before.items()
        if one.per_hour is not None and (one.source or "").startswith(_SOURCE)
    }


def listed_prices(kinds: Collection[str], region: str) -> dict[str, Decimal]:
    """Return dollars per hour of on-demand hosting on one instance, by instance type.

    Types that are not listed, or listed ambiguously, are left out.

    Raises:
        BotoCoreError, ClientError: the Price List could not be queried.

    """
    *first, last = _SERVED_IN
    for served_in in first:
        try:
            return _listed_in(served_in, kinds, region)
        except (BotoCoreError, ClientError):
            log.warning("the Price List in %s does not answer", served_in, exc_info=True)
    return _listed_in(last, kinds, region)


def _listed_in(served_in: str, kinds: Collection[str], region: str) -> dict[str, Decimal]:
    client = boto3.client("pricing", region_name=served_in, config=_PATIENCE)
    return prices_in(client, kinds, region)


def prices_in(client: Any, kinds: Collection[str], region: str) -> dict[str, Decimal]:
    """Return the one price on which all products of a type agree; none where they differ."""
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=SERVICE,
        Filters=[
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": region},
            {"Type": "TERM_MATCH", "Field": "component", "Value": "Hosting"},
        ],
    )
    found: dict[str, set[Decimal]] = {kind: set() for kind in kinds}
    for page in pages:
        for product in map(json.loads, page["PriceList"]):
            for kind, prices in found.items():
                if _is_of(product, kind):
                    prices.update(_hourly_prices(product))
    for kind, prices in found.items():
        if len(prices) > 1:
            log.warning("%s in %s has several prices: %s", kind, region, sorted(prices))
    return {kind: min(prices) for kind, prices in found.items() if len(prices) == 1}


def _is_of(product: Mapping[str, Any], instance_type: str) -> bool:
    # Not a filter of the request: the attribute that holds the name has changed over the years.
    attributes = product["product"]["attributes"]
    names = {attributes.get("instanceName"), attributes.get("instanceType")}
    return not names.isdisjoint({instance_type, f"{instance_type}-Hosting"})


def _hourly_prices(product: Mapping[str, Any]) -> Iterator[Decimal]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            dollars = dimension["pricePerUnit"].get("USD")
            if dollars is None or dimension["unit"].lower() not in _HOURLY:
                continue
            try:
                price = Decimal(dollars)
            except InvalidOperation:
                continue
            # A free tier is listed too; it is not the price of the next hour.
            if price > 0 and is_price(price):
                yield price.normalize()
