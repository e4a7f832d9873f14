"""The stacks as a whole: their names, and that each can be deployed and destroyed on its own."""

import dataclasses
import json
import re
import shlex
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path

import pytest

import app
from stacks.settings import Endpoint, Settings
from tests.support.synthesized import Templates, flat

SEED = (
    "FlanT5MeteredStack",
    "EndpointManagerStack",
    "FlanT5LambdaStack",
    "APIStack",
    "FlanT5AsyncStack",
)


def test_the_ancestors_stacks_are_there_and_no_other(seed: Templates):
    assert sorted(seed.by_stack) == sorted(SEED)
    assert seed.names == {name: name for name in SEED}


def test_several_models_have_stacks_of_their_own_and_share_manager_and_api(several: Templates):
    titles = ("FlanT5", "Falcon7b", "Qwen7b", "Smollm")
    kinds = ("MeteredStack", "LambdaStack", "AsyncStack")
    own = {f"{title}{kind}" for title in titles for kind in kinds}
    assert set(several.by_stack) == own | {"EndpointManagerStack", "APIStack"}


def test_the_documented_pattern_deploys_everything_but_the_queues(several: Templates):
    page = (Path(__file__).parents[2] / "docs" / "aws.md").read_text()
    (line,) = re.findall(r"^\$ cdk deploy ('\*.*)$", page, re.MULTILINE)
    chosen = {
        stack for stack in several.by_stack for word in shlex.split(line) if fnmatch(stack, word)
    }
    assert set(several.by_stack) - chosen == {
        f"{endpoint.title}AsyncStack" for endpoint in app.EXAMPLES
    }


def test_nothing_is_exported_and_nothing_imported(seed: Templates, several: Templates):
    for templates in (seed, several):
        for name, template in templates.by_stack.items():
            outputs = template.get("Outputs", {})
            assert not [output for output in outputs.values() if "Export" in output], name
            assert "Fn::ImportValue" not in json.dumps(template), name
            assert "Fn::GetStackOutput" not in json.dumps(template), name


def test_what_must_be_there_first_is_deployed_first(seed: Templates):
    assert seed.dependencies == {
        "FlanT5MeteredStack": set(),
        "EndpointManagerStack": {"FlanT5MeteredStack"},
        "FlanT5LambdaStack": {"EndpointManagerStack"},
        "APIStack": {"FlanT5LambdaStack"},
        "FlanT5AsyncStack": set(),
    }


def test_a_prefix_is_in_every_literal_name(several: Templates):
    assert all(name == f"acme-{stack}" for stack, name in several.names.items())
    keys = re.compile(
        r"(Table|Function|Rule|Topic|Bucket|Endpoint|Alarm|Dashboard|LogGroup|Policy)?Name"
    )
    # Named inside their API, or naming a function by reference.
    inner = {
        f"AWS::{kind}"
        for kind in (
            "ApiGateway::Authorizer",
            "Lambda::EventInvokeConfig",
            "Lambda::Permission",
        )
    }
    for stack, logical_id, resource in several.everything():
        if resource["Type"].startswith("Custom::") or resource["Type"] in inner:
            continue
        for key, value in resource.get("Properties", {}).items():
            generated = isinstance(value, dict) and "Fn::GetAtt" in value
            if keys.fullmatch(key) and not generated:
                assert "acme" in flat(value), f"{stack} {logical_id} {key}: {value}"


def test_the_default_names_are_the_ancestors(seed: Templates):
    seed.one("EndpointManagerStack", "AWS::DynamoDB::Table", TableName="meters")
    seed.one("APIStack", "AWS::DynamoDB::Table", TableName="auth")


def test_no_resource_bears_the_tag_by_which_the_clock_knows_its_endpoints(several: Templates):
    # An async endpoint with it would be swept away: it has no meter.
    for _, logical_id, resource in several.everything():
        if "AWS::IAM" not in resource["Type"]:
            assert "parkmeter:deployment" not in json.dumps(resource), logical_id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Flan"}, "lower-case"),
        ({"api_resource": "docs"}, "taken by parkmeter"),
        ({"api_resource": "a/b"}, "one path segment"),
        ({"instance_types": ()}, "one or more"),
        ({"instance_types": ("g5.xlarge",)}, "begin with ml."),
        ({"instance_types": "ml.g5.xlarge"}, "with a comma"),
        ({"model": "huggingface-text2text-flan-t5-xxl"}, "JumpStart("),
        ({"drain_seconds": -4}, "not negative"),
        ({"warn_minutes": (-3,)}, "not negative"),
        ({"warn_minutes": 10}, "with a comma"),
        ({"startup_credit_minutes": -1}, "not negative"),
        ({"max_top_up_minutes": float("nan")}, "greater than 0"),
        ({"async_concurrency": 0}, "1 to 1000"),
        ({"async_most_instances": 0}, "greater than 0"),
        ({"initial_provision_time_minutes": "soon"}, "'soon'"),
        ({"price_per_hour": "7.09"}, 'Decimal("1.41")'),
        ({"price_per_hour": Decimal(-1)}, "not negative"),
        ({"price_per_hour": Decimal("0.0000000001")}, "9 places"),
        ({"price_per_hour": {"ml.g5.12xlarge": 7.09}}, 'Decimal("1.41")'),
        ({"price_per_hour": {"ml.g5.1xlarge": Decimal(7)}}, "1xlarge is not in instance_types"),
        ({"name": "a" * 40}, "shorten"),
        ({"initial_provision_time_minutes": 20000}, "0 to 10080"),
    ],
)
def test_a_wrong_setting_is_refused_in_plain_words(change: dict[str, object], words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        Settings(region="us-east-1", endpoints=(dataclasses.replace(app.FLAN_T5_XXL, **change),))


def test_two_endpoints_cannot_share_a_path():
    other = dataclasses.replace(app.FALCON_7B, api_resource="flan-async")
    with pytest.raises(ValueError, match=r"/flan-async is taken by flan-t5"):
        Settings(region="us-east-1", endpoints=(app.FLAN_T5_XXL, other))


def test_no_endpoint_may_be_called_like_anothers_async_one():
    other: Endpoint = dataclasses.replace(app.FALCON_7B, name="flan-t5-async")
    with pytest.raises(ValueError, match="-async"):
        Settings(region="us-east-1", endpoints=(app.FLAN_T5_XXL, other))


def test_a_lost_comma_after_the_only_endpoint_is_told():
    with pytest.raises(ValueError, match="with a comma"):
        Settings(region="us-east-1", endpoints=app.FLAN_T5_XXL)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"notification_events": ("warning", "eject")},
            "['eject']: in brackets, of warning",
        ),
        ({"public_url": "https://meter.example.org/"}, "without a trailing slash"),
        ({"public_url": "http://meter.example.org"}, "https://"),
    ],
)
def test_what_is_wrong_about_mails_is_told(change: dict[str, object], words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        Settings(region="us-east-1", endpoints=(app.FLAN_T5_XXL,), **change)
