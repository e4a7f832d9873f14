"""Third-party checks of the templates: cdk-nag's AwsSolutions pack, and cfn-lint."""

import subprocess
import sys
from pathlib import Path

import aws_cdk
import pytest
from aws_cdk import aws_s3
from cdk_nag import AwsSolutionsChecks

from tests.support.synthesized import Templates, synthesized


@pytest.mark.parametrize("which", ["several", "guarded"])
def test_cdk_nag_finds_nothing_that_is_not_acknowledged_with_a_reason(
    which: str, request: pytest.FixtureRequest, tmp_path: Path, context: dict[str, object]
):
    settings = request.getfixturevalue(which).settings
    synthesized(settings, tmp_path, context, AwsSolutionsChecks)


def test_cdk_nag_stops_a_synthesis_in_which_it_finds_something(tmp_path: Path):
    app = aws_cdk.App(outdir=str(tmp_path))
    aws_s3.Bucket(aws_cdk.Stack(app, "Careless"), "Bucket")
    aws_cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()


def test_cfn_lint_finds_nothing(seed: Templates, several: Templates, guarded: Templates):
    for templates in (seed, several, guarded):
        files = sorted(map(str, templates.folder.glob("*.template.json")))
        assert len(files) == len(templates.by_stack)
        # W3005 speaks of DependsOn that CDK itself writes beside a Ref.
        words = ["-i", "W3005", "-r", templates.settings.region, "-t", *files]
        done = subprocess.run(
            [Path(sys.executable).with_name("cfn-lint"), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
