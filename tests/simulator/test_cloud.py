"""The seed's stacks in the simulated cloud, from the first deploy to the last destroy.

One deployment, whose tests run in this order: by the real command line, with the real packages.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from moto.dynamodb.exceptions import TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend
from playwright.sync_api import expect

from parkmeter.aws.definitions import REMEMBER_SECONDS
from simulator.cdk_command import PROJECT, CdkError
from simulator.cloud import SimulatedCloud
from simulator.iam.account import HERE
from tests.support import chromium, permissions
from tests.support.cloud_requests import TOKEN, curl, page

pytestmark = pytest.mark.timeout(600)

ENDPOINT = "parkmeter-flan-t5"
VARIANT = f"endpoint/{ENDPOINT}/variant/AllTraffic"
EXPIRY_PARAMETER = "/parkmeter/expiry/flan-t5"
FORMAT = "%d-%m-%Y-%H-%M-%S"

SEEDS_ORDER = ("FlanT5MeteredStack", "EndpointManagerStack", "FlanT5LambdaStack", "APIStack")


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    with SimulatedCloud() as started:
        started.cdk.bootstrap()
        for stack in SEEDS_ORDER:
            started.cdk.deploy(stack)
        item = {"token": {"S": TOKEN}, "scopes": {"SS": ["invoke", "top-up", "admin"]}}
        started.client("dynamodb").put_item(TableName="auth", Item=item)
        yield started
    assert started.sagemaker.bugs == []


def until(found: Callable[[], Any], within: float = 60.0) -> Any:
    """Poll `found` and return its first true result."""
    deadline = time.monotonic() + within
    while not (this := found()):
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about")
        time.sleep(0.2)
    return this


def status(cloud: SimulatedCloud) -> str:
    return curl(cloud, "/endpoint-expiry")[2]["Status"]


def expiry(cloud: SimulatedCloud) -> datetime:
    said = curl(cloud, "/endpoint-expiry")[2]["EndpointExpiry"]
    return datetime.strptime(said, FORMAT).replace(tzinfo=UTC)


def published(cloud: SimulatedCloud) -> str:
    return cloud.client("ssm").get_parameter(Name=EXPIRY_PARAMETER)["Parameter"]["Value"]


def endpoints(cloud: SimulatedCloud) -> list[str]:
    listed = cloud.sagemaker.client().list_endpoints()["Endpoints"]
    return [endpoint["EndpointName"] for endpoint in listed]


def test_each_stack_is_deployed_by_itself_in_the_seeds_order(cloud):
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    there = {stack["StackName"]: stack["StackStatus"] for stack in stacks}
    assert {there[name] for name in SEEDS_ORDER} == {"CREATE_COMPLETE"}


def test_the_first_provisioning_brings_the_endpoint_up_by_itself(cloud):
    until(lambda: status(cloud) == "running")
    assert timedelta(minutes=58) < expiry(cloud) - datetime.now(UTC) < timedelta(minutes=62)


def test_the_seeds_curl_commands_tell_add_and_answer(cloud):
    before = expiry(cloud)
    code, _, said = curl(cloud, "/endpoint-expiry", "-d", '{"minutes": 10}')
    assert code == 200
    assert said["EndpointName"] == "flan-t5"
    assert said["EndpointExpiry "] == said["EndpointExpiry"]
    assert expiry(cloud) - before == timedelta(minutes=10)
    payload = (
        '{"text_inputs": "Tell me a story.", "max_length": 50, "temperature": 0.0, "seed": 321}'
    )
    code, _, said = curl(cloud, "/flan", "-H", "Content-Type: application/json", "-d", payload)
    assert code == 200
    (text,) = said["generated_texts"]
    assert len(text) > 10


def test_the_dashboard_is_served_under_the_stage_and_asks_for_what_is_new(cloud):
    with chromium.started() as browser:
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{cloud.url}/prod")
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        card = page.get_by_role("article", name="flan-t5")
        expect(card.locator(".badge")).to_have_text("running")
        before = expiry(cloud)
        page.get_by_role("button", name="+10 min for flan-t5").click()
        expect(card.locator(".note")).to_contain_text("10 min")
        assert expiry(cloud) - before == timedelta(minutes=10)
        page.get_by_role("button", name="Playground of flan-t5").click()
        page.get_by_role("textbox", name="Prompt").fill("write a story about a fox.")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("region", name="Answer")).to_contain_text("fox")
        for title in ("Timeline", "Receipt"):
            page.get_by_role("button", name=f"{title} of flan-t5").click()
            expect(page.locator(".panel:visible")).to_contain_text(title)
        # A change by another client appears without a click: the page polls every five seconds.
        curl(cloud, "/endpoint-expiry", "-d", '{"minutes": 120}')
        expect(card.locator(".time")).to_contain_text("3:", timeout=10_000)
    assert complaints == []


@pytest.mark.parametrize(
    ("token", "code", "problem"), [(None, 401, "token_missing"), ("wrong", 403, "token_refused")]
)
def test_a_refused_token_is_answered_with_problem_json(cloud, token, code, problem):
    for path in ("/endpoint-expiry", "/flan"):
        said = curl(cloud, path, token=token)
        assert said[:2] == (code, "application/problem+json")
        assert said[2]["code"] == problem


def test_the_command_line_serves_an_address_on_aws_as_well(cloud):
    until(lambda: status(cloud) == "running")
    elsewhere = {"PARKMETER_URL": f"{cloud.url}/prod", "PARKMETER_TOKEN": TOKEN}

    def typed(*words: str) -> str:
        command = [sys.executable, "-m", "parkmeter", *words]
        done = subprocess.run(
            command, env=os.environ | elsewhere, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    assert "flan-t5" in typed("status")
    before = expiry(cloud)
    typed("top-up", "flan-t5", "5", "--wait")
    assert expiry(cloud) - before == timedelta(minutes=5)
    assert len(typed("invoke", "flan-t5", "write a story about a fox.")) > 10
    assert "top-up" in typed("journal")
    assert "pass code" in typed("receipt")
    assert "IN_SERVICE" in typed("logs", "flan-t5")
    secret = typed("token", "create", "ada").strip()
    assert curl(cloud, "/endpoints", token=secret)[0] == 200
    assert "ada" in typed("token", "list")


def test_a_token_with_a_daily_limit_adds_time_and_is_revoked(cloud):
    wanted = json.dumps({"name": "bob", "scopes": ["top-up"], "minutes_per_day": 5})
    code, _, bob = curl(cloud, "/tokens", "-d", wanted)
    assert code == 201
    for minutes, expected in ((5, 200), (1, 429)):
        said = curl(
            cloud, "/endpoint-expiry", "-d", f'{{"minutes": {minutes}}}', token=bob["token"]
        )
        assert said[0] == expected
    assert curl(cloud, f"/tokens/{bob['id']}", "-X", "DELETE")[0] == 204
    assert "bob" not in [token["name"] for token in curl(cloud, "/tokens")[2]["tokens"]]


def test_what_is_open_needs_no_token(cloud):

    cloud.tick()
    until(lambda: curl(cloud, "/health", token=None)[0] == 200)


@pytest.mark.extended
def test_two_hundred_top_ups_by_eight_clients_all_count_although_transactions_collide(cloud):
    before, write = expiry(cloud), DynamoDBBackend.transact_write_items
    asked, collided, counting = [0], [0], threading.Lock()

    def colliding(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        with counting:
            asked[0] += 1
            collides = asked[0] % 4 == 0
            collided[0] += collides
        if collides:
            reason = ("TransactionConflict", "Transaction is ongoing for the item", None)
            raise TransactionCanceledException([reason] * len(transact_items))
        write(backend, transact_items)

    def top_up_25_times(_client: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=60)
        for _ in range(25):
            headers = {"Authorization": TOKEN, "Content-Type": "application/json"}
            connection.request("POST", "/prod/endpoint-expiry", b'{"minutes": 1}', headers)
            response = connection.getresponse()
            assert (response.status, response.read()[:1]) == (200, b"{")
        connection.close()

    with (
        mock.patch.object(DynamoDBBackend, "transact_write_items", colliding),
        ThreadPoolExecutor(8) as clients,
    ):
        list(clients.map(top_up_25_times, range(8)))
    assert collided[0] > 20
    assert expiry(cloud) - before == timedelta(minutes=200)


def edit(file: Path, former: str, new: str) -> None:
    """Edit a file as a user edits the configuration."""
    text = file.read_text()
    assert former in text
    file.write_text(text.replace(former, new, 1))


PROMPTS = "idle_minutes=600, wake_minutes=30, async_metered=True,"


@pytest.fixture(scope="module")
def redeployed(cloud, tmp_path_factory) -> dict[str, Any]:
    """Deploy another version of the project with other settings; return the state before."""
    until(lambda: status(cloud) == "running")
    copy: Path = tmp_path_factory.mktemp("changed")
    for name in ("app.py", "cdk.json"):
        shutil.copy(PROJECT / name, copy)
    for name in ("stacks", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, copy / name, ignore=ignored)
    edit(
        copy / "app.py",
        "FLAN_T5_XXL = Endpoint(",
        "FLAN_T5_XXL = Endpoint(drain_seconds=1, " + PROMPTS,
    )
    edit(copy / "app.py", '"ml.g5.12xlarge", "ml.g5.24', '"ml.g5.48xlarge", "ml.g5.24')
    edit(copy / "app.py", '"ml.g5.12xlarge": Decimal("7.09"), ', "")
    for handler in ("clock", "lifecycle"):
        with (copy / "src" / "parkmeter" / "aws" / f"{handler}.py").open("a") as code:
            code.write("# changed\n")
    before = {
        "expiry": expiry(cloud),
        "code": cloud.client("lambda").get_function(FunctionName="parkmeter-lifecycle"),
        "endpoint": cloud.sagemaker.client().describe_endpoint(EndpointName=ENDPOINT),
    }
    cloud.cdk.synth(copy)
    cloud.cdk.deploy("FlanT5LambdaStack")
    return {**before, "copy": copy, "at": time.monotonic()}


def test_a_redeploy_with_changed_code_keeps_the_expiry(cloud, redeployed):
    code = cloud.client("lambda").get_function(FunctionName="parkmeter-lifecycle")
    before = redeployed["code"]["Configuration"]["CodeSha256"]
    assert code["Configuration"]["CodeSha256"] != before
    assert expiry(cloud) == redeployed["expiry"]


def test_changed_instance_types_are_deployed_while_the_endpoint_lives(cloud, redeployed):
    parameter = cloud.client("ssm").get_parameter(Name="/parkmeter/endpoints/flan-t5")
    variants = json.loads(parameter["Parameter"]["Value"])["variants"]
    assert [variant["instance_type"] for variant in variants] == [
        "ml.g5.48xlarge",
        "ml.g5.24xlarge",
    ]
    control = cloud.sagemaker.client()
    alive = control.describe_endpoint(EndpointName=ENDPOINT)
    assert alive["CreationTime"] == redeployed["endpoint"]["CreationTime"]
    config = control.describe_endpoint_config(EndpointConfigName=alive["EndpointConfigName"])
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.g5.12xlarge"
    assert cloud.sagemaker.account.violations == []
    assert status(cloud) == "running"


@pytest.fixture(scope="module")
def queued(cloud, redeployed) -> tuple[int, dict[str, Any]]:
    """Deploy the async stack; return the answer to a prompt before."""
    code, _, said = curl(cloud, "/flan-async", "-d", '{"text_inputs": "Tell me a story."}')
    cloud.cdk.deploy("FlanT5AsyncStack")
    return code, said


def test_the_async_stack_answers_later_through_the_api(cloud, queued):
    code, said = queued
    assert code == 404
    assert "FlanT5AsyncStack" in said["detail"]
    payload = '{"text_inputs": "Tell me a story."}'
    code, _, said = curl(cloud, "/flan-async", "-d", payload)
    assert code == 202
    assert said["url"] == f"{cloud.url}/prod/flan-async/{said['id']}"
    path = f"/flan-async/{said['id']}"
    until(lambda: curl(cloud, path)[0] != 202)
    code, _, said = curl(cloud, path)
    assert (code, len(said["generated_texts"])) == (200, 1)
    code, _, said = curl(cloud, "/flan-async", "-d", '{"text_inputs": 7}')
    path = f"/flan-async/{said['id']}"
    assert until(lambda: (code := curl(cloud, path)[0]) != 202 and code) >= 400


def test_the_queue_has_instances_while_the_meter_is_open(cloud, queued):
    found = cloud.sagemaker.account.scalable
    cloud.tick()
    until(lambda: found.most[f"endpoint/{ENDPOINT}-async/variant/AllTraffic"] == 1)


@pytest.mark.extended
@pytest.mark.usefixtures("queued")
def test_another_type_of_a_scaled_async_endpoint_is_refused_before_anything_changes(
    cloud, redeployed
):
    def config() -> str:
        found = cloud.sagemaker.client().describe_endpoint(EndpointName=f"{ENDPOINT}-async")
        return found["EndpointConfigName"]

    before, app = config(), redeployed["copy"] / "app.py"
    edit(app, '"ml.g5.48xlarge", "ml.g5.24', '"ml.g5.16xlarge", "ml.g5.24')
    cloud.cdk.synth(redeployed["copy"])
    with pytest.raises(CdkError, match="destroy FlanT5AsyncStack && cdk deploy FlanT5AsyncStack"):
        cloud.cdk.deploy("FlanT5AsyncStack")
    assert config() == before


@pytest.fixture(scope="module")
def mails(cloud) -> Callable[[], list[dict[str, str]]]:
    """Return a function: the topic's messages since its last call, to a subscriber of all."""
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    (topic,) = sns.list_topics()["Topics"][0].values()
    queue = sqs.create_queue(QueueName="mails")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])

    def received() -> list[dict[str, str]]:
        got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in got:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in got]

    return received


def test_the_link_in_a_warnings_mail_extends_through_the_api_once(cloud, mails):
    two_minutes = f"{datetime.now(UTC) + timedelta(seconds=128):{FORMAT}}"
    cloud.client("ssm").put_parameter(Name=EXPIRY_PARAMETER, Value=two_minutes, Overwrite=True)
    sent: list[dict[str, str]] = []
    until(lambda: sent.extend(mails()) or any("stops in" in mail["Subject"] for mail in sent))
    (warning,) = [mail for mail in sent if "stops in" in mail["Subject"]]
    assert warning["Subject"] == "parkmeter: flan-t5 stops in 2 minutes"
    # The running endpoint is of a type that the configuration no longer names.
    assert "An hour costs: unknown" in warning["Message"]
    address, slash, link = warning["Message"].split()[-1].partition("/prod/")
    (api,) = cloud.client("apigateway").get_rest_apis()["items"]
    assert address == f"https://{api['id']}.execute-api.us-east-1.amazonaws.com"
    before = expiry(cloud)
    status, shown = page(cloud, slash + link)
    assert (status, expiry(cloud)) == (200, before)
    assert "Add 30 minutes to flan-t5?" in shown
    assert page(cloud, slash + link, press=True)[0] == 200
    assert expiry(cloud) - before == timedelta(minutes=30)
    assert page(cloud, slash + link, press=True)[0] == 409
    assert expiry(cloud) - before == timedelta(minutes=30)
    # Top-ups that follow others are collected for a minute, unless another event is to follow. An
    # edit at the moment in which the clock publishes the top-up would be lost.
    until(lambda: published(cloud) == f"{expiry(cloud):{FORMAT}}")
    an_hour = f"{datetime.now(UTC) + timedelta(hours=1):{FORMAT}}"
    cloud.client("ssm").put_parameter(Name=EXPIRY_PARAMETER, Value=an_hour, Overwrite=True)
    edited = "parkmeter: flan-t5 has a new expiry"
    until(lambda: sent.extend(mails()) or [mail["Subject"] for mail in sent].count(edited) > 1)
    said = [mail["Subject"] for mail in sent]
    assert said.count(edited) == 2
    assert said.count("parkmeter: link in a warning added 30 minutes to flan-t5") == 1
    for function, line, times in (
        ("clock", "edit by operator", 2),
        ("control", "top-up by link in a warning", 1),
    ):
        logged = cloud.logs(f"parkmeter-{function}")
        assert sum(f"flan-t5 {line}" in each for each in logged) == times


def test_an_expiry_written_by_hand_is_adopted_and_ends_the_endpoint(cloud, redeployed):
    # Each function uses the definition it read before the deploy for so long.
    time.sleep(max(0, redeployed["at"] + REMEMBER_SECONDS + 1 - time.monotonic()))
    cloud.sagemaker.account.scalable.register(VARIANT)  # by hand, too
    wanted = json.dumps({"name": "eve", "scopes": ["invoke"]})
    eve = curl(cloud, "/tokens", "-d", wanted)[2]["token"]
    now = f"{datetime.now(UTC):{FORMAT}}"
    cloud.client("ssm").put_parameter(Name=EXPIRY_PARAMETER, Value=now, Overwrite=True)
    until(lambda: curl(cloud, "/flan", "-d", "{}", token=eve)[0] == 402)
    _, kind, said = curl(cloud, "/flan", "-d", "{}", token=eve)
    assert kind == "application/problem+json"
    assert said["code"] == "meter_closed"
    # No tick is needed: the clock waits for deadlines that are near.
    until(lambda: ENDPOINT not in endpoints(cloud))
    limits = cloud.sagemaker.account.scalable.most
    assert limits[f"endpoint/{ENDPOINT}-async/variant/AllTraffic"] == 0
    assert curl(cloud, "/flan-async", "-d", "{}", token=eve)[0] == 402


def test_a_start_of_twenty_minutes_that_is_given_up_is_deleted_when_sagemaker_permits_it(cloud):
    account, twenty = cloud.sagemaker.account, timedelta(minutes=20)

    def state() -> str | None:
        there = {endpoint.name: endpoint.status for endpoint in account.endpoints()}
        return there.get(ENDPOINT)

    usual, account.delays = account.delays, replace(account.delays, create=twenty)
    assert curl(cloud, "/endpoint-expiry", "-d", '{"minutes": 30}')[0] == 200
    until(lambda: state() == "Creating")
    account.delays = usual
    curl(cloud, "/endpoints/flan-t5/eject", "-X", "POST")
    until(lambda: status(cloud) == "stopping")
    assert state() == "Creating"
    account.hurry(twenty)
    until(lambda: state() is None)


def test_a_top_up_starts_it_again(cloud):
    assert curl(cloud, "/endpoint-expiry", "-d", '{"minutes": 30}')[0] == 200
    until(lambda: status(cloud) == "running")


def test_a_prompt_starts_it_too_for_a_token_that_may_top_up(cloud):
    prompt = ("-d", '{"text_inputs": "Tell me a story."}')
    assert curl(cloud, "/flan", *prompt)[0] == 200
    curl(cloud, "/endpoints/flan-t5/eject", "-X", "POST")
    until(lambda: ENDPOINT not in endpoints(cloud))
    assert curl(cloud, "/flan", *prompt)[0] == 503
    until(lambda: curl(cloud, "/flan", *prompt)[0] == 200)


def test_the_minute_is_treated_and_leaves_a_heartbeat(cloud):
    before = len(cloud.logs("parkmeter-clock"))
    assert cloud.tick() >= 1
    until(lambda: any("UnsettledMeters" in line for line in cloud.logs("parkmeter-clock")[before:]))


def test_stacks_are_destroyed_one_by_one_and_the_manager_stops_the_endpoint(cloud):
    assert set(endpoints(cloud)) == {ENDPOINT, f"{ENDPOINT}-async"}
    permissions.ask_without_an_authorizer(cloud, TOKEN)
    permissions.lose_the_link_secret(cloud)
    assert page(cloud, "/prod/extend/none")[0] == 404
    permissions.look_up_a_price_in_vain(cloud)
    permissions.change_the_async_instance_type(cloud)
    permissions.drop_the_queue(cloud)
    for stack in ("FlanT5AsyncStack", "APIStack", "FlanT5LambdaStack"):
        cloud.cdk.destroy(stack, "--exclusively")
        assert endpoints(cloud) == [ENDPOINT]
    permissions.destroy_slowly(cloud, "flan-t5", VARIANT)
    assert endpoints(cloud) == []
    cloud.cdk.destroy("FlanT5MeteredStack", "--exclusively")


def test_what_was_destroyed_leaves_nothing_that_costs(cloud):
    cloud.cdk.destroy()
    assert endpoints(cloud) == []
    assert cloud.client("dynamodb").list_tables()["TableNames"] == []
    assert cloud.client("lambda").list_functions()["Functions"] == []
    buckets = [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]
    assert [name for name in buckets if not name.startswith("cdk-")] == []
    assert cloud.client("sns").list_topics()["Topics"] == []
    assert cloud.client("logs").describe_log_groups()["logGroups"] == []
    names = [p["Name"] for p in cloud.client("ssm").describe_parameters()["Parameters"]]
    assert [name for name in names if name.startswith("/parkmeter/")] == []
    assert cloud.client("apigateway").get_rest_apis()["items"] == []


def test_every_call_had_a_grant_and_every_grant_a_call(cloud):
    ledger = cloud.iam.ledger
    assert ledger.missing() == []
    assert ledger.unmatched(HERE) == []
    assert ledger.unused() == []
    permissions.hold_to_the_page(ledger.grants())


def test_a_custom_resource_that_fails_fails_the_deploy_with_its_own_words(cloud):
    with pytest.raises(CdkError, match="Deploy its MeteredStack first"):
        cloud.cdk.deploy("EndpointManagerStack", "--exclusively")
