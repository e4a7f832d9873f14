"""Lambda in the simulated cloud: isolated packages, one invocation per process, shutdown."""

import json
import threading
import time
from collections.abc import Iterator

import pytest

from simulator.cloud import SimulatedCloud
from simulator.sagemaker.containers import canned
from tests.support.small_stack import deployed, function

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    with SimulatedCloud(launch=canned) as started:
        yield started


def invoke(cloud: SimulatedCloud, name: str, event: object = None, **more: str):
    answer = cloud.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(event).encode(), **more
    )
    with answer["Payload"] as payload:
        said = payload.read()
    return answer, json.loads(said) if said else None


def test_a_function_runs_with_its_environment_and_is_told_its_name_and_time(cloud):
    code = """
import os

def handler(event, context):
    left = context.get_remaining_time_in_millis()
    return [event, os.environ["COLOUR"], context.function_name, 0 < left <= 10000,
            os.environ["AWS_LAMBDA_FUNCTION_NAME"], os.environ["LAMBDA_TASK_ROOT"] == os.getcwd()]
"""
    environment = {"Variables": {"COLOUR": "blue"}}
    deployed(cloud, "plain", {"F": function(cloud, "plain", code, Environment=environment)})
    answer, said = invoke(cloud, "plain", {"a": 1})
    assert said == [{"a": 1}, "blue", "plain", True, "plain", True]
    assert "FunctionError" not in answer


def test_a_package_that_lacks_a_module_fails_although_it_is_installed_here(cloud):
    deployed(cloud, "lacking", {"F": function(cloud, "lacking", "import fastapi")})
    answer, said = invoke(cloud, "lacking")
    assert answer["FunctionError"] == "Unhandled"
    assert said["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'fastapi'" in said["errorMessage"]


def test_what_aws_brings_along_can_be_imported_and_leads_to_this_cloud(cloud):
    code = """
import boto3

def handler(event, context):
    boto3.client("ssm").put_parameter(Name="/from/lambda", Value="here", Type="String")
    return boto3.client("sagemaker").list_endpoints()["Endpoints"]
"""
    deployed(cloud, "calling", {"F": function(cloud, "calling", code)})
    assert invoke(cloud, "calling")[1] == []
    assert cloud.client("ssm").get_parameter(Name="/from/lambda")["Parameter"]["Value"] == "here"


def test_a_function_that_takes_too_long_is_ended(cloud):
    code = "import time\ndef handler(event, context):\n    time.sleep(60)"
    deployed(cloud, "slow", {"F": function(cloud, "slow", code, Timeout=1)})
    began = time.monotonic()
    answer, said = invoke(cloud, "slow")
    assert answer["FunctionError"] == "Unhandled"
    assert said["errorMessage"] == "Task timed out after 1.00 seconds"
    assert time.monotonic() - began < 20


def test_a_process_that_dies_is_an_error_and_the_next_one_works(cloud):
    code = "import os\ndef handler(event, context):\n    return os._exit(3) if event else 'alive'"
    deployed(cloud, "dying", {"F": function(cloud, "dying", code)})
    assert "exited with status 3" in invoke(cloud, "dying", True)[1]["errorMessage"]
    assert invoke(cloud, "dying", False)[1] == "alive"


def test_a_process_is_used_again_and_invocations_at_once_have_one_each(cloud):
    code = """
import os, time

def handler(event, context):
    time.sleep(event)
    return os.getpid()
"""
    deployed(cloud, "pids", {"F": function(cloud, "pids", code)})
    assert invoke(cloud, "pids", 0)[1] == invoke(cloud, "pids", 0)[1]
    pids: list[int] = []
    at_once = [
        threading.Thread(target=lambda: pids.append(invoke(cloud, "pids", 0.5)[1]))
        for _ in range(3)
    ]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    assert len(set(pids)) == 3


def test_a_changed_function_gets_new_processes(cloud):
    said = "def handler(event, context):\n    return {}"
    deployed(cloud, "changing", {"F": function(cloud, "changing", said.format("'before'"))})
    assert invoke(cloud, "changing")[1] == "before"
    deployed(cloud, "changing", {"F": function(cloud, "changing", said.format("'after'"))})
    assert invoke(cloud, "changing")[1] == "after"


def test_an_event_is_taken_at_once_and_what_it_prints_is_kept(cloud):
    code = "import time\ndef handler(event, context):\n    time.sleep(1)\n    print('done', event)"
    deployed(cloud, "later", {"F": function(cloud, "later", code)})
    began = time.monotonic()
    answer, _ = invoke(cloud, "later", 7, InvocationType="Event")
    assert answer["StatusCode"] == 202
    assert time.monotonic() - began < 1
    while "done 7" not in cloud.logs("later"):
        assert time.monotonic() - began < 20
        time.sleep(0.1)


def test_a_function_that_is_not_there_is_refused(cloud):
    client = cloud.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nobody", InvocationType="Event")
