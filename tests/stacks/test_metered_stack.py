"""Model, configurations, definition: a live endpoint keeps what it was created from."""

import dataclasses
import json
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import app
from parkmeter.aws.definitions import definition_from
from parkmeter.aws.last_use import use_key
from stacks import jumpstart
from stacks.settings import Container, JumpStart
from tests.support.synthesized import Templates, flat, synthesized

STACK = "FlanT5MeteredStack"
CONFIG = "AWS::SageMaker::EndpointConfig"
PRICE = "Custom::ParkmeterPrice"


def _configs(templates: Templates, stack: str = STACK) -> dict[str, str]:
    """Logical ids by instance type."""
    return {
        resource["Properties"]["ProductionVariants"][0]["InstanceType"]: logical_id
        for logical_id, resource in templates.of_type(stack, CONFIG).items()
    }


def test_flan_is_the_version_that_takes_text_inputs(seed: Templates):
    container = seed.one(STACK, "AWS::SageMaker::Model")["Properties"]["PrimaryContainer"]
    assert "huggingface-pytorch-inference:1.13.1-transformers4.26.0" in flat(container["Image"])
    assert container["ModelDataUrl"].startswith("s3://jumpstart-cache-prod-us-east-1/")
    assert container["ModelDataUrl"].endswith("text2text-flan-t5-xxl.tar.gz")
    assert "ModelDataSource" not in container


def test_an_artifact_that_is_a_folder_is_given_as_one(several: Templates):
    container = several.one("Falcon7bMeteredStack", "AWS::SageMaker::Model")["Properties"][
        "PrimaryContainer"
    ]
    source = container["ModelDataSource"]["S3DataSource"]
    assert source["S3DataType"] == "S3Prefix"
    assert source["CompressionType"] == "None"
    assert source["S3Uri"].endswith("/")


def test_a_container_that_fetches_its_model_has_a_network_and_others_have_none(several: Templates):
    def isolated(stack: str) -> bool:
        return several.one(stack, "AWS::SageMaker::Model")["Properties"]["EnableNetworkIsolation"]

    assert isolated("FlanT5MeteredStack")
    assert not isolated("SmollmMeteredStack")


def test_models_and_configs_have_generated_names_and_are_kept(several: Templates):
    for stack, logical_id, resource in several.everything():
        if stack.endswith("MeteredStack") and resource["Type"] in (CONFIG, "AWS::SageMaker::Model"):
            assert resource["DeletionPolicy"] == "Retain", logical_id
            assert resource["UpdateReplacePolicy"] == "Retain", logical_id
            assert not {"EndpointConfigName", "ModelName"} & set(resource["Properties"])


def test_no_endpoint_is_made_by_a_metered_stack(several: Templates):
    kinds = {
        resource["Type"]
        for stack, _, resource in several.everything()
        if stack.endswith("MeteredStack")
    }
    asked_for_a_price = {"AWS::Lambda::Function", "AWS::Logs::LogGroup", PRICE}
    assert kinds - asked_for_a_price == {
        "AWS::IAM::Role",
        "AWS::SageMaker::Model",
        CONFIG,
        "AWS::SSM::Parameter",
    }


def test_only_what_has_no_price_is_looked_up(several: Templates, seed: Templates):
    kinds = {resource["Type"] for resource in seed.by_stack[STACK]["Resources"].values()}
    assert not kinds & {"AWS::Lambda::Function", PRICE}
    looked_up = {
        f"{endpoint.title}MeteredStack"
        for endpoint in app.EXAMPLES
        if not endpoint.prices_in(several.settings.region)
    }
    assert len(looked_up) == len(app.EXAMPLES)  # of us-east-1 are the only prices
    for endpoint in app.EXAMPLES:
        stack = f"{endpoint.title}MeteredStack"
        assert len(several.of_type(stack, PRICE)) == (stack in looked_up)


def test_the_definition_has_all_that_the_handlers_read(seed: Templates):
    parameter = seed.one(STACK, "AWS::SSM::Parameter")["Properties"]
    assert parameter["Name"] == "/parkmeter/endpoints/flan-t5"
    ids = _configs(seed)
    assert json.loads(flat(parameter["Value"])) == {
        "name": "flan-t5",
        "endpoint": "parkmeter-flan-t5",
        "variants": [
            {
                "instance_type": kind,
                "config": f"<{ids[kind]}.EndpointConfigName>",
                "price_per_hour": price,
                "price_source": "configuration",
            }
            for kind, price in (("ml.g5.12xlarge", "7.09"), ("ml.g5.24xlarge", "10.18"))
        ],
        "api_resource": "flan",
        "async": {
            "endpoint": "parkmeter-flan-t5-async",
            "bucket": "parkmeter-flan-t5-async-<AWS::AccountId>-us-east-1",
            "stack": "FlanT5AsyncStack",
        },
        "price_per_hour": "7.09",
        "price_source": "configuration",
        "max_top_up_minutes": 1440,
        "max_minutes_ahead": 10080,
        "startup_credit_minutes": 30,
        "drain_seconds": 30,
        "warn_minutes": [10, 2],
        "hours": [],
        "idle_minutes": None,
        "wake_minutes": None,
        "extend_minutes": 30,
    }


def test_hours_are_found_without_reading_every_definition(
    tmp_path: Path, context: dict[str, object]
):
    hours = ("Mon-Fri 09:00-17:00 Europe/London",)
    own = dataclasses.replace(app.FLAN_T5_XXL, hours=hours, idle_minutes=15, wake_minutes=30)
    made = synthesized(dataclasses.replace(app.SETTINGS, endpoints=(own,)), tmp_path, context)
    found = {
        resource["Properties"]["Name"]: resource["Properties"]["Value"]
        for resource in made.of_type(STACK, "AWS::SSM::Parameter").values()
    }
    assert json.loads(found["/parkmeter/hours/flan-t5"]) == list(hours)
    name = "/parkmeter/endpoints/flan-t5"
    spec = definition_from(flat(found[name]), name).spec
    assert spec.hours.texts == hours
    assert (spec.idle, spec.wake) == (timedelta(minutes=15), timedelta(minutes=30))
    may = made.statements("FlanT5LambdaStack", "InferenceRole")
    (note,) = [one for one in may if one["Action"] == ["dynamodb:PutItem"]]
    assert note["Condition"]["ForAllValues:StringEquals"] == {
        "dynamodb:LeadingKeys": [use_key("flan-t5")]
    }
    (wake,) = [one for one in may if one["Action"] == ["lambda:InvokeFunction"]]
    assert flat(wake["Resource"]).endswith("function:parkmeter-control")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hours": "Mon-Fri 09:00-17:00 UTC"}, "in brackets"),
        ({"hours": ("Mon-Fry 09:00-17:00 UTC",)}, "'Fry' is not a day"),
        ({"hours": ("Mon 09:00-17:00 UTC",), "max_minutes_ahead": 60}, "no window longer"),
        (
            {"hours": ("Sun 00:00-24:00 Europe/London",), "max_minutes_ahead": 1440},
            "no window longer",
        ),
        ({"wake_minutes": 0}, "greater than 0"),
    ],
)
def test_hours_and_waking_that_cannot_be_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(app.FLAN_T5_XXL, **wrong)


def test_a_price_that_is_not_configured_is_what_the_price_list_says(several: Templates):
    stack = "Qwen7bMeteredStack"
    ((logical_id, listed),) = several.of_type(stack, PRICE).items()
    definition = several.one(stack, "AWS::SSM::Parameter")["Properties"]
    said = json.loads(flat(definition["Value"]))
    kinds = [one["instance_type"] for one in said["variants"]]
    assert kinds == ["ml.g5.12xlarge", "ml.g6.12xlarge"]
    for one in (*said["variants"], said | {"instance_type": kinds[0]}):
        assert one["price_per_hour"] == f"<{logical_id}.{one['instance_type']}.PricePerHour>"
        assert one["price_source"] == f"<{logical_id}.{one['instance_type']}.Source>"
    assert listed["Properties"]["InstanceTypes"] == kinds
    assert listed["Properties"]["Region"] == "eu-west-1"
    assert several.actions(stack, "PriceFunctionRole") == {
        "pricing:GetProducts",
        "ssm:GetParameter",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_what_the_price_list_does_not_know_is_unknown_and_not_zero(several: Templates):
    parameter = several.one("Qwen7bMeteredStack", "AWS::SSM::Parameter")["Properties"]
    said = re.sub(r"<\w+\.ml\.[\w.]+\.(PricePerHour|Source)>", "", flat(parameter["Value"]))
    assert definition_from(said, parameter["Name"]).spec.prices == {}


def test_one_price_is_that_of_the_first_type_and_the_others_are_looked_up(
    tmp_path: Path, context: dict[str, object]
):
    endpoint = dataclasses.replace(app.FLAN_T5_XXL, price_per_hour=Decimal("7.09"))
    made = synthesized(dataclasses.replace(app.SETTINGS, endpoints=(endpoint,)), tmp_path, context)
    ((logical_id, listed),) = made.of_type(STACK, PRICE).items()
    assert listed["Properties"]["InstanceTypes"] == ["ml.g5.24xlarge"]
    parameter = made.one(STACK, "AWS::SSM::Parameter")["Properties"]
    first, second = json.loads(flat(parameter["Value"]))["variants"]
    assert (first["price_per_hour"], first["price_source"]) == ("7.09", "configuration")
    assert second["price_per_hour"] == f"<{logical_id}.ml.g5.24xlarge.PricePerHour>"


def test_prices_of_one_region_do_not_follow_into_another(several: Templates, seed: Templates):
    variants = {
        region.settings.region: json.loads(
            flat(region.one(STACK, "AWS::SSM::Parameter")["Properties"]["Value"])
        )["variants"]
        for region in (several, seed)
    }
    assert {one["price_source"] for one in variants["us-east-1"]} == {"configuration"}
    assert "configuration" not in {one["price_source"] for one in variants["eu-west-1"]}
    anywhere = dataclasses.replace(app.FLAN_T5_XXL, price_region=None)
    assert anywhere.prices_in("eu-west-1") == anywhere.prices


def test_the_definition_of_most_types_fits_into_a_parameter(
    tmp_path: Path, context: dict[str, object]
):
    kinds = tuple(f"ml.p4de.{number}4xlarge" for number in range(1, 6))
    endpoint = dataclasses.replace(
        app.FLAN_T5_XXL,
        name="a-rather-long-name",
        instance_types=kinds,
        price_per_hour=None,
        hours=("Mon,Wed,Fri 09:00-12:00 America/Argentina/Buenos_Aires",) * 10,
    )
    tags = {f"tag-{number}": "x" * 75 for number in range(10)}
    settings = dataclasses.replace(app.SETTINGS, endpoints=(endpoint,), tags=tags)
    made = synthesized(settings, tmp_path, context)
    stack = f"{endpoint.title}MeteredStack"
    parameter = made.one(
        stack, "AWS::SSM::Parameter", Name=f"/parkmeter/endpoints/{endpoint.name}"
    )["Properties"]
    deployed = re.sub(r"<\w+\.EndpointConfigName>", "c" * 63, flat(parameter["Value"]))
    deployed = re.sub(r"<\w+\.ml\.[\w.]+\.PricePerHour>", "100000.123456789", deployed)
    deployed = re.sub(r"<\w+\.ml\.[\w.]+\.Source>", "AWS Price List, 2026-11-22", deployed)
    assert len(definition_from(deployed, parameter["Name"]).spec.prices) == len(kinds)
    assert len(deployed.encode()) <= 4096


def test_a_changed_instance_type_is_a_new_config_and_the_old_one_is_kept(
    seed: Templates, tmp_path: Path, context: dict[str, object]
):
    changed = dataclasses.replace(
        app.FLAN_T5_XXL,
        instance_types=("ml.g5.48xlarge", "ml.g5.12xlarge"),
        price_per_hour=None,
    )
    after = synthesized(dataclasses.replace(app.SETTINGS, endpoints=(changed,)), tmp_path, context)
    before_ids, after_ids = _configs(seed), _configs(after)
    assert after_ids["ml.g5.48xlarge"] not in before_ids.values()
    assert after_ids["ml.g5.12xlarge"] == before_ids["ml.g5.12xlarge"]
    dropped = before_ids["ml.g5.24xlarge"]
    assert dropped not in after_ids.values()
    assert seed.of_type(STACK, CONFIG)[dropped]["DeletionPolicy"] == "Retain"
    same = before_ids["ml.g5.12xlarge"]
    assert seed.of_type(STACK, CONFIG)[same] == after.of_type(STACK, CONFIG)[same]


def test_unknown_models_versions_and_regions_are_refused_with_what_is_known():
    with pytest.raises(ValueError, match="flan-t5-xxl"):
        jumpstart.fact("flan", "1.1.2", "us-east-1")
    with pytest.raises(ValueError, match=r"1\.1\.2"):
        jumpstart.fact("huggingface-text2text-flan-t5-xxl", "9", "us-east-1")
    with pytest.raises(ValueError, match="us-east-1"):
        jumpstart.fact("huggingface-text2text-flan-t5-xxl", "1.1.2", "xx-nowhere-1")


def test_the_examples_ask_for_instance_types_that_their_models_are_known_to_fit():
    for endpoint in app.EXAMPLES:
        if isinstance(endpoint.model, JumpStart):
            fact = jumpstart.fact(endpoint.model.model_id, endpoint.model.version, "us-east-1")
            assert set(endpoint.instance_types) <= set(fact.instance_types), endpoint.name


def test_an_image_of_the_own_account_comes_from_its_own_registry(
    tmp_path: Path, context: dict[str, object]
):
    own = dataclasses.replace(app.SMOLLM, model=Container(image="vllm:0.11", own_registry=True))
    made = synthesized(dataclasses.replace(app.SETTINGS, endpoints=(own,)), tmp_path, context)
    container = made.one("SmollmMeteredStack", "AWS::SageMaker::Model")["Properties"][
        "PrimaryContainer"
    ]
    assert flat(container["Image"]).startswith("<AWS::AccountId>.dkr.ecr.us-east-1.")


def test_an_image_is_named_without_a_host():
    with pytest.raises(ValueError, match="without a host"):
        Container(image="vllm")


def test_the_handlers_read_what_the_stack_writes(several: Templates):
    for stack in ("FlanT5MeteredStack", "Falcon7bMeteredStack", "SmollmMeteredStack"):
        parameter = several.one(stack, "AWS::SSM::Parameter")["Properties"]
        deployed = re.sub(r"<\w+\.ml\.[\w.]+\.PricePerHour>", "1.7", flat(parameter["Value"]))
        read = definition_from(deployed, parameter["Name"])
        assert read.spec.variants
        assert read.queue is not None
        assert read.queue.name == read.spec.name
