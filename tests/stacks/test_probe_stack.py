"""The last guard of `make smoke-aws`: schedules in the account that delete its endpoints."""

from datetime import UTC, datetime
from pathlib import Path

import aws_cdk

from tools.smoke_aws.probe_stack import ProbeStack
from tools.smoke_aws.run import ENDPOINTS, Run


def test_the_guard_may_delete_each_endpoint_of_the_run_also_one_that_is_scaled(tmp_path: Path):
    began = datetime(2026, 11, 30, 18, 0, tzinfo=UTC)
    run = Run("smoke-0123ab", "111122223333", "us-east-1", began, tmp_path)
    app = aws_cdk.App(outdir=str(tmp_path))
    ProbeStack(app, "ProbeStack", run, env=aws_cdk.Environment(region=run.region))
    (stack,) = app.synth().stacks
    resources = stack.template["Resources"].values()
    schedules = [one for one in resources if one["Type"] == "AWS::Scheduler::Schedule"]
    assert len(schedules) == len(ENDPOINTS)
    assert {one["Properties"]["ScheduleExpression"] for one in schedules} == {
        "at(2026-11-30T18:45:00)"
    }
    allowed = {
        statement["Action"]
        for one in resources
        if one["Type"] == "AWS::IAM::Policy"
        for statement in one["Properties"]["PolicyDocument"]["Statement"]
    }
    assert {
        "sagemaker:DeleteEndpoint",
        "application-autoscaling:DeregisterScalableTarget",
    } <= allowed
