"""The CDK application of the smoke test: the project's stacks with two cheap endpoints, and probes.

    cdk synth --app "python -m tools.smoke_aws.app"

The environment names the run's file (`PARKMETER_SMOKE_RUN`).
"""

import os
from decimal import Decimal
from pathlib import Path

import aws_cdk

from stacks.bundling import LambdaPackages
from stacks.project import add_stacks
from stacks.settings import Container, Endpoint, Settings
from tools.smoke_aws.probe_stack import ProbeStack
from tools.smoke_aws.run import BROKEN, DOLLARS_AN_HOUR, FLAN, INSTANCE_TYPE, TAG, Run

RUN_FILE = "PARKMETER_SMOKE_RUN"

IMAGE = "huggingface-pytorch-inference:2.6.0-transformers4.49.0-cpu-py312-ubuntu22.04"
"""AWS's container for processors; in its registry of deep learning containers."""


def main() -> None:
    """Write the templates."""
    run = Run.read(Path(os.environ[RUN_FILE]))
    app = aws_cdk.App()
    ProbeStack(
        app,
        "ProbeStack",
        run,
        stack_name=run.stack("ProbeStack"),
        env=aws_cdk.Environment(region=run.region),
        tags={"project": "parkmeter", TAG: run.prefix},
    )
    add_stacks(app, _settings(run), LambdaPackages.for_app(app))
    app.synth()


def _settings(run: Run) -> Settings:
    price = Decimal(str(DOLLARS_AN_HOUR)) if run.instance_type == INSTANCE_TYPE else None
    return Settings(
        region=run.region,
        prefix=run.prefix,
        tags={TAG: run.prefix},
        endpoints=(
            Endpoint(
                name=FLAN,
                model=Container(
                    image=IMAGE,
                    environment={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
                    artifact=f"s3://{run.packages}/{run.artifact}",
                ),
                instance_types=(run.instance_type,),
                api_resource="flan",
                price_per_hour=price,
                initial_provision_time_minutes=10,
                startup_timeout_seconds=600,
                startup_credit_minutes=10,
                drain_seconds=5,
                max_top_up_minutes=20,
                max_minutes_ahead=30,
                warn_minutes=(),
            ),
            Endpoint(
                name=BROKEN,
                # The container ends when it cannot download its model, and SageMaker gives it up.
                model=Container(
                    image=IMAGE,
                    environment={
                        "HF_MODEL_ID": "parkmeter/there-is-no-such-model",
                        "HF_TASK": "text2text-generation",
                    },
                ),
                instance_types=(run.instance_type,),
                price_per_hour=price,
                initial_provision_time_minutes=0,
                startup_timeout_seconds=60,
                startup_credit_minutes=0,
                drain_seconds=0,
                max_top_up_minutes=20,
                max_minutes_ahead=20,
                warn_minutes=(),
            ),
        ),
    )


if __name__ == "__main__":
    main()
