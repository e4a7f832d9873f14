"""Least privilege, function by function; each wildcard has a written reason."""

import json
import re
from typing import Any

import pytest

from parkmeter.aws.link_secret import SECRET_PARTITION
from parkmeter.stores.dynamodb_outbox import OUTBOX
from simulator.iam.ledger import role_name
from simulator.iam.policy import Statement
from simulator.iam.reach import Place, unreachable
from simulator.iam.table import table
from stacks.iam_role import WILDCARDS, Grant
from tests.support.permissions import PAGE
from tests.support.synthesized import Templates, flat, listed

MANAGER, API = "EndpointManagerStack", "APIStack"
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
METERS = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}
ENDPOINTS = {"ssm:GetParameters"}
STOP = {
    "application-autoscaling:DeregisterScalableTarget",
    "sagemaker:DeleteEndpoint",
    "sagemaker:DescribeEndpoint",
    "sagemaker:ListTags",
}


def _documents(templates: Templates):
    """Every statement of every role and policy, with the reasons written beside it."""
    for stack, logical_id, resource in templates.everything():
        properties = resource.get("Properties", {})
        documents = [one["PolicyDocument"] for one in properties.get("Policies", ())]
        if resource["Type"] == "AWS::IAM::Policy":
            documents.append(properties["PolicyDocument"])
        reasons = resource.get("Metadata", {}).get(WILDCARDS, {})
        for document in documents:
            for statement in document["Statement"]:
                yield f"{stack} {logical_id}", statement, reasons


def _resolved(templates: Templates, value: Any) -> Any:
    """Return a statement with the account, the region and the names of a deployment in it."""
    match value:
        case {"Fn::GetAtt": _} | {"Ref": _} | {"Fn::Join": _}:
            text = flat(value)
            for name, known in (
                ("Partition", "aws"),
                ("AccountId", "111122223333"),
                ("Region", templates.settings.region),
            ):
                text = text.replace(f"<AWS::{name}>", known)
            region = templates.settings.region
            return re.sub(r"^<.+>$", f"arn:aws:sns:{region}:111122223333:a-topic", text)
        case dict():
            return {key: _resolved(templates, item) for key, item in value.items()}
        case list():
            return [_resolved(templates, item) for item in value]
        case _:
            return value


@pytest.mark.parametrize("templates", ["seed", "several", "guarded"])
def test_every_grant_can_match_a_call(templates: str, request: pytest.FixtureRequest):
    of: Templates = request.getfixturevalue(templates)
    here = Place("111122223333", of.settings.region)
    never = {
        (where, reason)
        for where, statement, _ in _documents(of)
        for reason in unreachable(Statement.of(_resolved(of, statement)), here)
    }
    assert never == set()


def test_every_grant_is_on_the_page_that_the_simulated_cloud_wrote(seed: Templates):
    here = Place("111122223333", seed.settings.region)
    grants = []
    for where, statement, _ in _documents(seed):
        resolved = _resolved(seed, statement)
        if resolved["Action"] != "sns:Publish":  # to topics that only a deployment names
            grants.append((role_name(*where.split()), Statement.of(resolved)))
    page = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [row for row in table(grants, here).splitlines() if row not in page]
    assert missing == [], "let a test of the simulated cloud use them, then `make permissions`"


def test_no_action_is_a_wildcard(several: Templates):
    for where, statement, _ in _documents(several):
        for action in listed(statement["Action"]):
            assert "*" not in action, where


def test_every_wildcard_resource_has_its_reason_in_the_template(several: Templates):
    for where, statement, reasons in _documents(several):
        for resource in map(flat, listed(statement["Resource"])):
            if "*" in resource:
                assert reasons.get(resource), f"{where}: {resource}"


def test_a_wildcard_without_a_reason_cannot_be_written():
    with pytest.raises(ValueError, match="reason"):
        Grant(("sagemaker:DescribeEndpoint",), ("*",))
    with pytest.raises(ValueError, match="each action"):
        Grant(("sagemaker:*",), ("arn:x",))


def test_sagemaker_arns_are_lower_case(several: Templates):
    seen = 0
    for where, statement, _ in _documents(several):
        for resource in map(flat, listed(statement["Resource"])):
            if ":sagemaker:" in resource:
                seen += 1
                name = resource.rpartition(":")[2]
                assert name == name.lower(), where
    assert seen > 10


def test_only_clock_may_create_and_only_clock_and_lifecycle_may_delete(several: Templates):
    may: dict[str, set[str]] = {}
    for where, statement, _ in _documents(several):
        for action in listed(statement["Action"]):
            may.setdefault(action, set()).add(re.sub(r"[0-9A-F]{8}$", "", where))
    assert may["sagemaker:CreateEndpoint"] == {f"{MANAGER} ClockRole"}
    assert may["sagemaker:AddTags"] == {f"{MANAGER} ClockRole"}
    assert may["sagemaker:DeleteEndpoint"] == {
        f"{MANAGER} ClockRole",
        f"{MANAGER} LifecycleRole",
    }


@pytest.mark.parametrize(
    ("stack", "role", "actions"),
    [
        (
            MANAGER,
            "ClockRole",
            LOGS
            | METERS
            | ENDPOINTS
            | STOP
            | {
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:UpdateItem",
                "ssm:GetParameter",
                "ssm:GetParametersByPath",
                "ssm:PutParameter",
                "sagemaker:AddTags",
                "sagemaker:CreateEndpoint",
                "sagemaker:ListEndpoints",
                "sns:Publish",
            },
        ),
        (
            MANAGER,
            "LifecycleRole",
            LOGS | METERS | ENDPOINTS | STOP | {"lambda:InvokeFunction", "ssm:DeleteParameter"},
        ),
        (API, "AuthorizerRole", LOGS | {"dynamodb:GetItem"}),
        (API, "ApiRole", {"lambda:InvokeFunction"}),
        (
            API,
            "ControlRole",
            LOGS
            | METERS
            | {
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:Scan",
                "dynamodb:UpdateItem",
                "ssm:GetParametersByPath",
                "lambda:InvokeFunction",
                "cloudwatch:GetMetricData",
                "logs:FilterLogEvents",
                "sagemaker:InvokeEndpoint",
                "sagemaker:InvokeEndpointAsync",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
            },
        ),
        (
            "FlanT5LambdaStack",
            "InferenceRole",
            LOGS | {"dynamodb:GetItem", "sagemaker:InvokeEndpoint", "ssm:GetParameter"},
        ),
        (
            "FlanT5AsyncStack",
            "BucketFunctionRole",
            LOGS
            | {
                "application-autoscaling:DescribeScalableTargets",
                "s3:DeleteObject",
                "s3:ListBucket",
                "sagemaker:DescribeEndpoint",
                "sagemaker:DescribeEndpointConfig",
            },
        ),
    ],
)
def test_each_role_may_do_this_and_no_more(
    seed: Templates, stack: str, role: str, actions: set[str]
):
    assert seed.actions(stack, role) == actions


def _statement(templates: Templates, role: str, action: str, resource: str) -> dict[str, object]:
    return next(
        statement
        for statement in templates.statements(MANAGER, role)
        if action in statement["Action"]
        and any(flat(one).endswith(resource) for one in listed(statement["Resource"]))
    )


def test_endpoints_are_created_and_deleted_only_with_our_name_and_tag(several: Templates):
    create = _statement(several, "ClockRole", "sagemaker:CreateEndpoint", ":endpoint/acme-*")
    assert create["Condition"] == {"StringEquals": {"aws:RequestTag/parkmeter:deployment": "acme"}}
    for role in ("ClockRole", "LifecycleRole"):
        delete = _statement(several, role, "sagemaker:DeleteEndpoint", ":endpoint/acme-*")
        assert delete["Condition"] == {
            "StringEquals": {"aws:ResourceTag/parkmeter:deployment": "acme"}
        }


def test_nothing_but_what_was_mailed_may_be_deleted_from_the_table(several: Templates):
    for where, statement, _ in _documents(several):
        tables = [one for one in map(flat, listed(statement["Resource"])) if "-meters" in one]
        if tables and "dynamodb:DeleteItem" in listed(statement["Action"]):
            assert where.startswith(f"{MANAGER} ClockRole")
            assert statement["Condition"] == {
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [OUTBOX]}
            }


def test_only_the_clock_mails(several: Templates):
    may = {
        re.sub(r"[0-9A-F]{8}$", "", where)
        for where, statement, _ in _documents(several)
        if "sns:Publish" in listed(statement["Action"]) and "Async" not in where
    }
    assert may == {f"{MANAGER} ClockRole"}


def test_what_signs_links_is_read_by_who_makes_and_who_checks_them_only(several: Templates):
    """Every statement that allows reading in the table counts, whatever its keys."""
    readers = set()
    for where, statement, _ in _documents(several):
        resources = [flat(one) for one in listed(statement["Resource"])]
        reads = {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem", "dynamodb:Scan"}
        if reads & set(listed(statement["Action"])) and any(
            one.endswith("-meters") for one in resources
        ):
            condition = statement.get("Condition", {})
            keys = condition.get("ForAllValues:StringEquals", {}).get("dynamodb:LeadingKeys")
            others = condition.get("ForAllValues:StringNotEquals", {}).get("dynamodb:LeadingKeys")
            if others != [SECRET_PARTITION] and (keys is None or SECRET_PARTITION in keys):
                readers.add(re.sub(r"[0-9A-F]{8}$", "", where))
    assert readers == {f"{MANAGER} ClockRole", f"{API} ControlRole"}


def test_a_prompt_function_reaches_its_own_endpoint_only(several: Templates):
    (invoke,) = (
        statement
        for statement in several.statements("Falcon7bLambdaStack", "InferenceRole")
        if "sagemaker:InvokeEndpoint" in statement["Action"]
    )
    assert flat(invoke["Resource"]).endswith(":endpoint/acme-falcon-7b")


def test_roles_that_serve_all_endpoints_do_not_grow_with_them(seed: Templates, several: Templates):
    for stack, role in ((API, "ControlRole"), (API, "ApiRole"), (MANAGER, "ClockRole")):
        assert len(seed.statements(stack, role)) == len(several.statements(stack, role))
        assert len(json.dumps(several.statements(stack, role))) < 10_240


def test_a_container_may_do_with_its_log_group_what_sagemaker_does_with_its_role(
    several: Templates,
):
    for stack, endpoint in (
        ("FlanT5MeteredStack", "acme-flan-t5"),
        ("FlanT5AsyncStack", "acme-flan-t5-async"),
    ):
        (logs,) = (
            statement
            for statement in several.statements(stack, "Role")
            if any(action.startswith("logs:") for action in statement["Action"])
        )
        assert set(logs["Action"]) == {
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        }
        # Without the last two characters the actions on streams match nothing.
        assert flat(logs["Resource"]).endswith(f"/aws/sagemaker/Endpoints/{endpoint}:*")


def test_a_function_may_not_create_its_log_group_which_would_outlive_the_stack(
    several: Templates,
):
    for where, statement, _ in _documents(several):
        if "logs:CreateLogGroup" in listed(statement["Action"]):
            assert re.search(r"(Metered|Async)Stack Role[0-9A-F]{8}$", where), where


def test_no_role_has_a_managed_policy_that_is_not_ours(several: Templates):
    for stack, logical_id, resource in several.everything():
        if resource["Type"] == "AWS::IAM::Role":
            assert "ManagedPolicyArns" not in resource["Properties"], (stack, logical_id)


def test_control_uses_async_buckets_of_this_account_only(seed: Templates):
    used = [
        statement
        for where, statement, _ in _documents(seed)
        if where.startswith(f"{API} ControlRole")
        and any(action.startswith("s3:") for action in listed(statement["Action"]))
    ]
    assert len(used) == 3
    for statement in used:
        assert statement["Condition"] == {
            "StringEquals": {"s3:ResourceAccount": {"Ref": "AWS::AccountId"}}
        }
