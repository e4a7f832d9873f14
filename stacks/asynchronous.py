"""`<Name>AsyncStack`: the same model behind a queue, for answers that take longer than 29 seconds.

Needs no other stack and no meter. It starts with an instance, scales to zero some time after its
queue is empty, and back when a prompt comes.
"""

from decimal import Decimal
from typing import Any

from aws_cdk import (
    Acknowledgment,
    Annotations,
    Aws,
    CustomResource,
    Duration,
    RemovalPolicy,
    Stack,
    Validations,
    aws_s3,
    aws_sagemaker,
    aws_sns,
)
from constructs import Construct

from stacks.encryption import deployment_key, use_key, volume_key
from stacks.functions import Deployment, MeterFunction, Program, kept_log_group
from stacks.hosting import hosted_model, production_variant
from stacks.iam import Grants
from stacks.iam_role import Grant
from stacks.iam_scaling import see_scaling
from stacks.names import ASYNC_FAILURES, ASYNC_INPUTS, ASYNC_RESULTS, endpoint_log_group
from stacks.notifications import topic_by_name
from stacks.scaling import IDLE_MINUTES, Scaling
from stacks.settings import Endpoint

FIRST_RUN_MINUTES = 25
"""From the creation of the endpoint until its scaling has removed the first instance."""


class AsyncStack(Stack):
    """Endpoint, bucket, topics, scaling to zero."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        endpoint: Endpoint,
        **of: Any,
    ) -> None:
        super().__init__(scope, construct_id, **of)
        self._deployment, self._settings, self._endpoint = deployment, deployment.settings, endpoint
        settings = self._settings
        self._name = settings.names.async_endpoint(endpoint.name)
        self._bucket_name = settings.names.async_bucket(
            endpoint.name, Aws.ACCOUNT_ID, settings.region
        )
        bucket, function = self._bucket(), self._function()
        emptied = self._emptied(bucket, function)
        made = self._hosted(bucket)
        # Destroyed in the opposite order: first its only writer, then the bucket is emptied.
        made.node.add_dependency(emptied, self._same_type(function))
        Scaling(
            self,
            "Scaling",
            endpoint=made,
            # With a meter the clock raises it as soon as that is open.
            most_instances=0 if endpoint.async_metered else endpoint.async_instances,
            topic=topic_by_name(self, settings),
        )
        Annotations.of(self).add_info(_cost_of_deploying(endpoint, settings.region))

    def _bucket(self) -> aws_s3.Bucket:
        bucket = aws_s3.Bucket(
            self,
            "Bucket",
            bucket_name=self._bucket_name,
            enforce_ssl=True,
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            removal_policy=RemovalPolicy.DESTROY,
            **self._encryption(),
            lifecycle_rules=[
                aws_s3.LifecycleRule(
                    expiration=Duration.days(self._endpoint.async_results_days),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
        )
        Validations.of(bucket).acknowledge(
            Acknowledgment(
                id="AwsSolutions-S1",
                reason="prompts and answers that expire within days, read by one function; access "
                "logs would need a bucket of their own",
            )
        )
        return bucket

    def _encryption(self) -> dict[str, Any]:
        key = deployment_key(self, self._settings)
        if key is None:
            return {}
        # A bucket key: one request to KMS for many objects.
        kms = aws_s3.BucketEncryption.KMS
        return {"encryption": kms, "encryption_key": key, "bucket_key_enabled": True}

    def _function(self) -> MeterFunction:
        """Return the function behind the custom resources of this stack."""
        may, names = Grants(self, self._settings.names), self._settings.names
        return MeterFunction(
            self,
            "BucketFunction",
            self._deployment,
            Program(
                name=names.async_bucket_function(self._endpoint.name),
                module="parkmeter.aws.async_inference.custom_resources",
                description=f"Empties the async bucket of {self._endpoint.name} on destroy; checks "
                "updates.",
                timeout_seconds=900,
            ),
            [*may.empty_bucket(self._bucket_name), *see_scaling(may, self._name)],
        )

    def _same_type(self, function: MeterFunction) -> CustomResource:
        """Return the custom resource that refuses what SageMaker would refuse half-way.

        An instance type cannot be changed while the endpoint is a scalable target.
        """
        resource = CustomResource(
            self,
            "InstanceType",
            resource_type="Custom::ParkmeterInstanceType",
            service_token=function.function.function_arn,
            service_timeout=Duration.minutes(5),
            properties={
                "AsyncEndpoint": self._name,
                "InstanceType": self._endpoint.instance_types[0],
                "Stack": self._settings.names.async_stack(self._endpoint.title),
            },
        )
        resource.node.add_dependency(function)
        return resource

    def _emptied(self, bucket: aws_s3.Bucket, function: MeterFunction) -> CustomResource:
        """Return the custom resource that empties the bucket, which only then can be deleted."""
        resource = CustomResource(
            self,
            "Emptied",
            resource_type="Custom::ParkmeterBucket",
            service_token=function.function.function_arn,
            properties={"AsyncBucket": self._bucket_name},
        )
        resource.node.add_dependency(bucket, function)
        return resource

    def _hosted(self, bucket: aws_s3.Bucket) -> aws_sagemaker.CfnEndpoint:
        succeeded, failed = self._topic("succeeded"), self._topic("failed")
        model = hosted_model(
            self,
            self._settings,
            self._endpoint,
            sagemaker_endpoint=self._name,
            grants=[
                *self._results(),
                *use_key(self._settings, self._settings.region, "s3"),
                Grant(("sns:Publish",), (succeeded, failed)),
            ],
        )
        instance_type = self._endpoint.instance_types[0]
        # The default, but earlier versions did not name it: so an endpoint of theirs is updated to
        # a configuration of another name, without which SageMaker may refuse (UpdateEndpoint).
        variant = production_variant(model, self._endpoint, instance_type, enable_ssm_access=False)
        config = aws_sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[variant],
            async_inference_config=_async_config(
                bucket.bucket_name, succeeded, failed, self._endpoint.async_concurrency
            ),
            kms_key_id=volume_key(self._settings, instance_type),
        )
        made = aws_sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self._name,
            endpoint_config_name=config.attr_endpoint_config_name,
            # An update keeps the present number of instances: it starts none for an empty queue.
            retain_all_variant_properties=True,
        )
        made.node.add_dependency(
            kept_log_group(self, "Logs", endpoint_log_group(self._name), self._settings.log_days)
        )
        return made

    def _results(self) -> list[Grant]:
        """Return the container's grants: read inputs, write results."""
        arn = f"arn:{Aws.PARTITION}:s3:::{self._bucket_name}"
        because = "objects of one folder, named by the requests' ids"
        return [
            Grant(("s3:ListBucket",), (arn,)),
            Grant(("s3:GetObject",), (f"{arn}/{ASYNC_INPUTS}/*",), because=because),
            Grant(
                ("s3:PutObject",),
                (f"{arn}/{ASYNC_RESULTS}/*", f"{arn}/{ASYNC_FAILURES}/*"),
                because=because,
            ),
        ]

    def _topic(self, outcome: str) -> str:
        """Return the ARN of a topic for subscribers; messages carry addresses, not results."""
        name = self._settings.names.async_topic(self._endpoint.name, outcome)
        topic = aws_sns.Topic(self, outcome.capitalize(), topic_name=name, enforce_ssl=True)
        return topic.topic_arn


def _cost_of_deploying(endpoint: Endpoint, region: str) -> str:
    """Return the line that synth and deploy print: this stack costs money at once."""
    kind, count = endpoint.instance_types[0], endpoint.instance_count
    price = endpoint.prices_in(region).get(kind)
    cost = ""
    if price is not None:
        # Without a prompt its queue may have no data, and then only the alarm on idling acts.
        usual, most = (
            price * count * minutes / Decimal(60)
            for minutes in (FIRST_RUN_MINUTES, FIRST_RUN_MINUTES + IDLE_MINUTES)
        )
        cost = f" (at ${price} an hour each: about ${usual:.2f}, or at most ${most:.2f})"
    return (
        f"Deploying this stack starts {count} x {kind} at once, until the queue has been empty for "
        f"a quarter of an hour, or for an hour longer if no prompt comes{cost}. They count against "
        "the quota, beside the metered endpoint's. async_queue=False leaves this stack out."
    )


def _async_config(
    bucket: str, succeeded: str, failed: str, concurrency: int
) -> aws_sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty:
    config = aws_sagemaker.CfnEndpointConfig
    return config.AsyncInferenceConfigProperty(
        client_config=config.AsyncInferenceClientConfigProperty(
            max_concurrent_invocations_per_instance=concurrency
        ),
        output_config=config.AsyncInferenceOutputConfigProperty(
            s3_output_path=f"s3://{bucket}/{ASYNC_RESULTS}",
            s3_failure_path=f"s3://{bucket}/{ASYNC_FAILURES}",
            notification_config=config.AsyncInferenceNotificationConfigProperty(
                success_topic=succeeded, error_topic=failed
            ),
        ),
    )
