"""`<Name>AsyncStack`: the same model behind a queue, for answers that take longer than 29 seconds.

Needs no other stack and no meter: it scales to zero instances while its queue is empty.
"""

from typing import Any

from aws_cdk import (
    Acknowledgment,
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

from stacks.functions import Deployment, MeterFunction, Program, kept_log_group
from stacks.hosting import hosted_model, production_variant
from stacks.iam import Grants
from stacks.iam_role import Grant
from stacks.names import ASYNC_FAILURES, ASYNC_INPUTS, ASYNC_RESULTS, endpoint_log_group
from stacks.scaling import Scaling
from stacks.settings import Endpoint


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
        bucket = self._bucket()
        emptied = self._emptied(bucket)
        made = self._hosted(bucket)
        # Destroyed in the opposite order: first its only writer, then the bucket is emptied.
        made.node.add_dependency(emptied)
        Scaling(
            self,
            "Scaling",
            endpoint=made,
            endpoint_name=self._name,
            most_instances=endpoint.async_most_instances,
        )

    def _bucket(self) -> aws_s3.Bucket:
        bucket = aws_s3.Bucket(
            self,
            "Bucket",
            bucket_name=self._bucket_name,
            enforce_ssl=True,
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            removal_policy=RemovalPolicy.DESTROY,
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

    def _emptied(self, bucket: aws_s3.Bucket) -> CustomResource:
        """Return the custom resource that empties the bucket, which only then can be deleted."""
        may, names = Grants(self, self._settings.names), self._settings.names
        function = MeterFunction(
            self,
            "BucketFunction",
            self._deployment,
            Program(
                name=names.async_bucket_function(self._endpoint.name),
                module="parkmeter.aws.async_inference.bucket",
                description=f"Empties the async bucket of {self._endpoint.name} on destroy.",
                timeout_seconds=900,
            ),
            may.empty_bucket(self._bucket_name),
        )
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
            grants=[*self._results(), Grant(("sns:Publish",), (succeeded, failed))],
        )
        config = aws_sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[
                production_variant(model, self._endpoint, self._endpoint.instance_types[0])
            ],
            async_inference_config=_async_config(
                bucket.bucket_name, succeeded, failed, self._endpoint.async_concurrency
            ),
        )
        made = aws_sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self._name,
            endpoint_config_name=config.attr_endpoint_config_name,
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
