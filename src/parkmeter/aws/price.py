"""The Lambda that looks up what an instance type costs: behind a custom resource.

Asked at deploy time, where the configuration names no price. A deployment never fails for want of
one: what cannot be found is unknown, which is empty here, and never zero. Knows the Price List.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws import custom_resource

log = logging.getLogger(__name__)

SERVICE = "AmazonSageMaker"

_ASKED_IN = ("us-east-1", "eu-central-1")
"""The Price List is served in a few regions only; each knows the prices of all."""

_PATIENCE = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)
_SOURCE = "AWS Price List"
_UNKNOWN: Mapping[str, str] = {"PricePerHour": "", "Source": ""}
_HOURLY = frozenset({"hrs", "hours", "hour"})


def handler(event: dict[str, Any], _context: Any) -> None:
    """Answer with `PricePerHour` and `Source`: both empty if nobody knows."""
    wanted = event["ResourceProperties"]
    told = _UNKNOWN
    if event["RequestType"] != "Delete":
        try:
            told = _told(wanted["InstanceType"], wanted["Region"])
        except Exception:
            log.exception("the price for %s could not be looked up", wanted)
            told = _known_before(event, wanted["Name"], wanted["InstanceType"])
    custom_resource.succeed(event, f"price-of-{wanted['Name']}", told)


def _told(instance_type: str, region: str) -> Mapping[str, str]:
    price = listed_price(instance_type, region)
    if price is None:
        return _UNKNOWN
    return {"PricePerHour": f"{price:f}", "Source": f"{_SOURCE}, {datetime.now(UTC):%Y-%m-%d}"}


def _known_before(event: Mapping[str, Any], name: str, instance_type: str) -> Mapping[str, str]:
    """What an earlier deployment was told for the same instance type: a hiccup is no news."""
    if event["RequestType"] != "Update":
        return _UNKNOWN
    try:
        parameter = os.environ["PARKMETER_ENDPOINTS_PATH"] + name
        ssm = boto3.client("ssm", config=_PATIENCE)
        said = json.loads(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
        source = said["price_source"]
        if said["variants"][0]["instance_type"] == instance_type and source.startswith(_SOURCE):
            return {"PricePerHour": said["price_per_hour"], "Source": source}
    except Exception:
        log.exception("what was known of %s before could not be read either", name)
    return _UNKNOWN


def listed_price(instance_type: str, region: str) -> Decimal | None:
    """Dollars for an hour of hosting on one instance on demand; None: not listed, or not plainly.

    Raises:
        BotoCoreError, ClientError: the Price List could not be asked.

    """
    for number, asked_in in enumerate(_ASKED_IN, 1):
        try:
            client = boto3.client("pricing", region_name=asked_in, config=_PATIENCE)
            return price_in(client, instance_type, region)
        except (BotoCoreError, ClientError):
            if number == len(_ASKED_IN):
                raise
            log.warning("the Price List in %s does not answer", asked_in, exc_info=True)
    return None


def price_in(client: Any, instance_type: str, region: str) -> Decimal | None:
    """The one price that every product for this says; None if there is none, or several differ."""
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=SERVICE,
        Filters=[
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": region},
            {"Type": "TERM_MATCH", "Field": "component", "Value": "Hosting"},
        ],
    )
    prices = {
        price
        for page in pages
        for product in map(json.loads, page["PriceList"])
        if _is_of(product, instance_type)
        for price in _hourly_prices(product)
    }
    if len(prices) > 1:
        log.warning("%s in %s has several prices: %s", instance_type, region, sorted(prices))
    return prices.pop() if len(prices) == 1 else None


def _is_of(product: Mapping[str, Any], instance_type: str) -> bool:
    # Not left to a filter: which attribute has the name has changed over the years.
    attributes = product["product"]["attributes"]
    names = {attributes.get("instanceName"), attributes.get("instanceType")}
    return not names.isdisjoint({instance_type, f"{instance_type}-Hosting"})


def _hourly_prices(product: Mapping[str, Any]) -> Iterator[Decimal]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            said = dimension["pricePerUnit"].get("USD")
            if said is None or dimension["unit"].lower() not in _HOURLY:
                continue
            try:
                price = Decimal(said)
            except InvalidOperation:
                continue
            if price > 0:  # a free tier is listed too, and is not what the next hour costs
                yield price.normalize()
