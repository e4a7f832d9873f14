"""The configuration of parkmeter on AWS. Edit it, then run `cdk deploy`.

Nothing below SETTINGS needs a change.
"""

from decimal import Decimal

import aws_cdk

from stacks.bundling import LambdaPackages
from stacks.project import add_stacks
from stacks.settings import Container, Endpoint, JumpStart, Settings

# Endpoints to choose from. Instance types: best first. Prices: dollars per hour in their region;
# others, and all in another region, are looked up in AWS's Price List when the stack is deployed.

FLAN_T5_XXL = Endpoint(
    name="flan-t5",
    # 1.x takes `text_inputs`; 2.x has another contract.
    model=JumpStart("huggingface-text2text-flan-t5-xxl", "1.1.2"),
    instance_types=("ml.g5.12xlarge", "ml.g5.24xlarge"),
    api_resource="flan",
    price_per_hour={"ml.g5.12xlarge": Decimal("7.09"), "ml.g5.24xlarge": Decimal("10.18")},
    price_region="us-east-1",
)

FALCON_7B = Endpoint(
    name="falcon-7b",
    model=JumpStart("huggingface-llm-falcon-7b-instruct-bf16", "4.6.16"),
    instance_types=("ml.g5.2xlarge", "ml.g5.4xlarge", "ml.g5.8xlarge"),
    api_resource="falcon",
)

QWEN_7B = Endpoint(
    name="qwen-7b",
    model=JumpStart("huggingface-llm-qwen2-5-7b-instruct", "1.27.2"),
    instance_types=("ml.g5.12xlarge", "ml.g6.12xlarge"),
    api_resource="qwen",
    initial_provision_time_minutes=0,  # starts with the first top-up
)

# Any container with SageMaker's contract: this one, AWS's for text generation, downloads a model of
# the hub. With `own_registry=True` the image is in your own account's registry, for example vLLM's.
SMOLLM = Endpoint(
    name="smollm",
    model=Container(
        image="huggingface-pytorch-tgi-inference:2.6.0-tgi3.1.1-gpu-py311-cu124-ubuntu22.04",
        environment={"HF_MODEL_ID": "HuggingFaceTB/SmolLM2-1.7B-Instruct", "SM_NUM_GPUS": "1"},
    ),
    instance_types=("ml.g5.xlarge", "ml.g5.2xlarge"),
    # The image has CUDA 12; SageMaker's default driver for ml.g5 is one for CUDA 11.4.
    inference_ami_version="al2-ami-sagemaker-inference-gpu-2",
)

EXAMPLES = (FLAN_T5_XXL, FALCON_7B, QWEN_7B, SMOLLM)

SETTINGS = Settings(
    region="us-east-1",
    prefix="parkmeter",  # another one for a second deployment in the same account
    endpoints=(FLAN_T5_XXL,),  # or several, or all of EXAMPLES
    initial_provision_time_minutes=60,
    notification_email=None,  # "you@example.org": starts, stops, warnings and alarms
)


def main() -> None:
    """Write the templates; `cdk` runs this."""
    app = aws_cdk.App()
    add_stacks(app, SETTINGS, LambdaPackages.for_app(app))
    app.synth()


if __name__ == "__main__":
    main()
