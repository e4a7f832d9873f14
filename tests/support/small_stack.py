"""A small stack, without CDK: functions of a few lines, and their surroundings."""

import io
import json
import time
import zipfile
from typing import Any

from simulator.cloud import SimulatedCloud

PATIENCE = 100.0
"""Seconds. A function's first process may take long to start on a machine that does much else."""

ROLE = "arn:aws:iam::111122223333:role/any"
BUCKET = "packages"

ANSWERING = """
import json
from urllib.request import Request, urlopen

def answer(event, **more):
    said = {"Status": "SUCCESS", "PhysicalResourceId": "one", "Reason": "", **more}
    said |= {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    put = Request(event["ResponseURL"], json.dumps(said).encode(), method="PUT")
    urlopen(put).close()
"""
"""Code that a custom resource's function begins with: `answer(event, Status=…)`."""


def prepare(cloud: SimulatedCloud) -> None:
    """Make the bucket of packages and the role of functions and models, once."""
    s3 = cloud.client("s3")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
        services = {"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]}
        trust = json.dumps({"Statement": [{"Effect": "Allow", "Principal": services}]})
        cloud.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument=trust)


def function(cloud: SimulatedCloud, name: str, code: str, **more: Any) -> dict[str, Any]:
    """Upload a package of `code`; return the template's resource for a function `name` of it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as package:
        package.writestr("index.py", code)
    s3, key = cloud.client("s3"), f"{name}-{time.monotonic_ns()}.zip"
    prepare(cloud)
    s3.put_object(Bucket=BUCKET, Key=key, Body=written.getvalue())
    properties = {
        "FunctionName": name,
        "Handler": "index.handler",
        "Runtime": "python3.12",
        "Role": ROLE,
        "Timeout": 10,
        "Code": {"S3Bucket": BUCKET, "S3Key": key},
        **more,
    }
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


def permission(function_id: str, service: str) -> dict[str, Any]:
    """Return the template's resource that lets a service invoke a function of the stack."""
    properties = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Fn::GetAtt": [function_id, "Arn"]},
        "Principal": service,
    }
    return {"Type": "AWS::Lambda::Permission", "Properties": properties}


def deploy(cloud: SimulatedCloud, name: str, resources: dict[str, Any], **outputs: Any) -> str:
    """Create or update a stack; return its final status."""
    prepare(cloud)
    shown = {"Outputs": {key: {"Value": value} for key, value in outputs.items()}}
    body = {"Resources": resources, **(shown if outputs else {})}
    client, template = cloud.client("cloudformation"), json.dumps(body)
    there = [stack["StackName"] for stack in client.describe_stacks()["Stacks"]]
    operation = client.update_stack if name in there else client.create_stack
    operation(StackName=name, TemplateBody=template)
    return ended(cloud, name)


def deployed(cloud: SimulatedCloud, name: str, resources: dict[str, Any]) -> None:
    """Create or update a stack, which must succeed."""
    status = deploy(cloud, name, resources)
    assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), reasons(cloud, name)


def ended(cloud: SimulatedCloud, name: str) -> str:
    """The status of a stack once nothing is in progress."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        stack = cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack["StackStatus"]
        time.sleep(0.1)
    raise TimeoutError(name)


def reasons(cloud: SimulatedCloud, name: str) -> str:
    """Return the reasons of a stack's failures."""
    events = cloud.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return " ".join(event.get("ResourceStatusReason", "") for event in events)
