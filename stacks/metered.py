"""`<Name>MeteredStack`: the model and its endpoint configurations. Nothing in it costs money.

The clock creates and deletes the endpoint itself, from the definition that this stack writes to
SSM. Knows nothing of the other stacks.
"""

import json
from datetime import UTC, datetime
from typing import Any

from aws_cdk import (
    Aws,
    CustomResource,
    Duration,
    RemovalPolicy,
    Stack,
    aws_sagemaker,
    aws_ssm,
)
from constructs import Construct

from stacks.encryption import volume_key
from stacks.functions import Deployment, MeterFunction, Program
from stacks.hosting import hosted_model, production_variant
from stacks.iam import Grants
from stacks.settings import Endpoint, Settings


class MeteredStack(Stack):
    """Model, one EndpointConfig for each instance type, and the endpoint's definition."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        endpoint: Endpoint,
        **of: Any,
    ) -> None:
        super().__init__(scope, construct_id, **of)
        settings = deployment.settings
        names = settings.names
        sagemaker_endpoint = names.endpoint(endpoint.name)
        model = hosted_model(self, settings, endpoint, sagemaker_endpoint=sagemaker_endpoint)
        configs = {
            instance_type: self._config(model, settings, endpoint, instance_type)
            for instance_type in endpoint.instance_types
        }
        for kept in (model, *configs.values()):
            # A live endpoint keeps using what it was created from, so no update and no removal
            # may delete these. The names are CloudFormation's, so that the next one can be created
            # beside it. They cost nothing.
            kept.apply_removal_policy(RemovalPolicy.RETAIN)
        variants = [
            {
                "instance_type": instance_type,
                "config": configs[instance_type].attr_endpoint_config_name,
                "price_per_hour": price,
                "price_source": source,
            }
            for instance_type, (price, source) in self._prices(deployment, endpoint).items()
        ]
        aws_ssm.CfnParameter(
            self,
            "Definition",
            name=f"{names.endpoints_path}{endpoint.name}",
            type="String",
            description=f"Definition of {endpoint.name}; written by this stack only.",
            # Not to_json_string, which drops nulls.
            value=json.dumps(
                {
                    "name": endpoint.name,
                    "endpoint": sagemaker_endpoint,
                    "variants": variants,
                    "api_resource": endpoint.resource,
                    "async": _queue(settings, endpoint),
                    # Of the first type: functions that are not updated yet read only this.
                    "price_per_hour": variants[0]["price_per_hour"],
                    "price_source": variants[0]["price_source"],
                    "max_top_up_minutes": endpoint.max_top_up_minutes,
                    "max_minutes_ahead": endpoint.max_minutes_ahead,
                    "startup_credit_minutes": endpoint.startup_credit_minutes,
                    "drain_seconds": endpoint.drain_seconds,
                    "warn_minutes": list(endpoint.warn_minutes),
                    "hours": list(endpoint.hours),
                    "idle_minutes": endpoint.idle_minutes,
                    "wake_minutes": endpoint.wake_minutes,
                    "extend_minutes": endpoint.extend_minutes,
                    # Only what there is: without it the document stays as it was.
                    **_metered_queue(endpoint),
                    **({"instance_count": count} if (count := endpoint.instance_count) > 1 else {}),
                    **({"tags": dict(settings.tags)} if settings.tags else {}),
                }
            ),
        )
        if endpoint.hours:
            aws_ssm.CfnParameter(
                self,
                "Hours",
                name=f"{names.hours_path}{endpoint.name}",
                type="String",
                description=f"Schedule of {endpoint.name}; written by this stack only.",
                value=json.dumps(list(endpoint.hours)),
            )

    def _prices(self, deployment: Deployment, endpoint: Endpoint) -> dict[str, tuple[str, str]]:
        """Return dollars per hour of all instances, and their source, by type; empty if unknown."""
        named = {
            kind: (f"{price * endpoint.instance_count:f}", "configuration")
            for kind, price in endpoint.prices_in(deployment.settings.region).items()
        }
        others = [kind for kind in endpoint.instance_types if kind not in named]
        listed = self._listed(deployment, endpoint, others) if others else {}
        return {kind: (named | listed)[kind] for kind in endpoint.instance_types}

    def _listed(
        self, deployment: Deployment, endpoint: Endpoint, kinds: list[str]
    ) -> dict[str, tuple[str, str]]:
        """Return the prices that the Price List has when the stack is deployed."""
        names, region = deployment.settings.names, deployment.settings.region
        may = Grants(self, names)
        function = MeterFunction(
            self,
            "PriceFunction",
            deployment,
            Program(
                name=names.price_function(endpoint.name),
                module="parkmeter.aws.price",
                description=f"Looks up the hourly price of {endpoint.name}.",
                timeout_seconds=120,
            ),
            [may.read_prices(), may.read_endpoint(endpoint.name)],
        )
        listed = CustomResource(
            self,
            "Price",
            resource_type="Custom::ParkmeterPrice",
            service_token=function.function.function_arn,
            service_timeout=Duration.minutes(5),
            properties={
                "Name": endpoint.name,
                "InstanceTypes": kinds,
                "InstanceCount": endpoint.instance_count,
                "Region": region,
                # CloudFormation updates only what differs, and prices change.
                "AskedOn": f"{datetime.now(UTC):%Y-%m-%d}",
            },
        )
        listed.node.add_dependency(function)
        return {
            kind: (
                listed.get_att_string(f"{kind}.PricePerHour"),
                listed.get_att_string(f"{kind}.Source"),
            )
            for kind in kinds
        }

    def _config(
        self,
        model: aws_sagemaker.CfnModel,
        settings: Settings,
        endpoint: Endpoint,
        instance_type: str,
    ) -> aws_sagemaker.CfnEndpointConfig:
        # The id names the instance type, so a change of the list adds and removes configs and never
        # changes one into another.
        return aws_sagemaker.CfnEndpointConfig(
            self,
            f"Config-{instance_type}",
            production_variants=[production_variant(model, endpoint, instance_type)],
            kms_key_id=volume_key(settings, instance_type),
        )


def _metered_queue(endpoint: Endpoint) -> dict[str, int]:
    metered = endpoint.async_queue and endpoint.async_metered
    return {"async_metered_instances": endpoint.async_instances} if metered else {}


def _queue(settings: Settings, endpoint: Endpoint) -> dict[str, str] | None:
    """Return the literal names of the async stack, deployed or not; None if there is none."""
    if not endpoint.async_queue:
        return None
    names = settings.names
    return {
        "endpoint": names.async_endpoint(endpoint.name),
        "bucket": names.async_bucket(endpoint.name, Aws.ACCOUNT_ID, settings.region),
        "stack": names.async_stack(endpoint.title),
    }
