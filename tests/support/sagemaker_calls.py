"""Calls and refusals of SageMaker by boto3, as the simulator's tests state them."""

ARN = "arn:aws:sagemaker:us-east-1:111122223333:"


def create(control, name="flan", config="on-a10g", **more):
    return control.create_endpoint(EndpointName=name, EndpointConfigName=config, **more)


def status(control, name="flan"):
    return control.describe_endpoint(EndpointName=name)["EndpointStatus"]


def ready(control, clock, name="flan", config="on-a10g"):
    create(control, name, config)
    clock.wind(minutes=3)
    assert status(control, name) == "InService"


def message(refused):
    return refused.value.response["Error"]["Message"]


def code(refused):
    return refused.value.response["Error"]["Code"]
