"""The `aws` commands of the pages exist, with the options that they use."""

from pathlib import Path

import pytest

from tests.support.aws_command import InvalidCommandError, commands_in, parse

ROOT = Path(__file__).parents[2]
PAGES = sorted(page.name for page in (ROOT / "docs").glob("aws*.md"))


def commands(page: str) -> list[str]:
    return commands_in((ROOT / "docs" / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one_of_the_command_line(page):
    for command in commands(page):
        assert parse(command).service


def test_the_runbooks_have_commands():
    assert len(commands("aws-operations.md")) > 30


@pytest.mark.parametrize(
    "command",
    [
        "aws sagemaker destroy-endpoint --endpoint-name a",
        "aws sagemaker delete-endpoint --name a",
        "aws sagemaker delete-endpoint",
        "aws sagemakr delete-endpoint --endpoint-name a",
        "aws sagemaker list-endpoints --query 'Endpoints[?'",
    ],
)
def test_a_command_that_does_not_exist_would_be_found(command):
    with pytest.raises((InvalidCommandError, ValueError)):
        parse(command)
