"""IAM's decisions: statements against needs, by tables and with random patterns."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.iam.policy import Need, Statement, decide, matches, statements_of
from simulator.iam.reach import Place, overlap, unreachable

TABLE = "arn:aws:dynamodb:us-east-1:111122223333:table/meters"
HERE = Place("111122223333", "us-east-1")


def allow(actions="dynamodb:GetItem", resources=TABLE, **conditions) -> Statement:
    document = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return Statement.of(document | ({"Condition": conditions} if conditions else {}))


def allowed(statement: Statement, action: str, resource: str = TABLE, **context) -> bool:
    given = {key.replace("__", ":"): value for key, value in context.items()}
    return decide([statement], Need(action, resource, given)).allowed


@pytest.mark.parametrize(
    ("pattern", "value", "covers"),
    [
        ("arn:x:endpoint/acme-*", "arn:x:endpoint/acme-flan", True),
        ("arn:x:endpoint/acme-*", "arn:x:endpoint/acme-", True),
        ("arn:x:endpoint/acme-*", "arn:x:endpoint/ACME-flan", False),
        ("arn:x:endpoint/acme-?", "arn:x:endpoint/acme-1", True),
        ("arn:x:endpoint/acme-?", "arn:x:endpoint/acme-12", False),
        ("arn:x:table/[meters]", "arn:x:table/m", False),
        ("*", "", True),
    ],
)
def test_arns_are_compared_with_wildcards_and_case(pattern: str, value: str, *, covers: bool):
    assert matches(pattern, value) is covers


def test_an_action_is_compared_without_case_and_only_its_own_resource_is_covered():
    assert allowed(allow(), "DynamoDB:getitem")
    assert not allowed(allow(), "dynamodb:PutItem")
    assert not allowed(allow(), "dynamodb:GetItem", f"{TABLE}/index/unsettled")


def test_an_explicit_denial_wins_over_any_allowance():
    deny = Statement.of({"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"})
    verdict = decide([allow(), deny], Need("dynamodb:GetItem", TABLE))
    assert (verdict.allowed, verdict.explicitly) == (False, True)


def test_without_a_statement_everything_is_denied():
    verdict = decide([], Need("dynamodb:GetItem", TABLE))
    assert (verdict.allowed, verdict.explicitly) == (False, False)


@pytest.mark.parametrize(
    ("operator", "policy", "request_has", "holds"),
    [
        ("StringEquals", ["a"], ("a",), True),
        ("StringEquals", ["a"], ("A",), False),
        ("StringEquals", ["a"], (), False),
        ("StringEqualsIfExists", ["a"], (), True),
        ("StringNotEquals", ["a"], (), True),
        ("StringNotEquals", ["a", "b"], ("b",), False),
        ("StringLike", ["/aws/*"], ("/aws/sagemaker",), True),
        ("StringLike", ["/aws/*"], ("/AWS/sagemaker",), False),
        ("StringEqualsIgnoreCase", ["a"], ("A",), True),
        ("Bool", ["true"], ("true",), True),
        ("Null", ["true"], (), True),
        ("Null", ["false"], ("a",), True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
        ("ForAllValues:StringEquals", ["a"], ("a", "b"), False),
        ("ForAllValues:StringEquals", ["a"], (), True),
        ("ForAllValues:StringNotEquals", ["a"], ("b", "c"), True),
        ("ForAllValues:StringNotEquals", ["a"], ("b", "a"), False),
        ("ForAnyValue:StringEquals", ["a"], ("b", "a"), True),
        ("ForAnyValue:StringEquals", ["a"], (), False),
    ],
)
def test_condition_operators(
    operator: str, policy: list[str], request_has: tuple[str, ...], *, holds: bool
):
    statement = allow(**{operator: {"aws:Key": policy}})
    assert allowed(statement, "dynamodb:GetItem", aws__key=request_has) is holds


def test_what_is_not_simulated_is_reported_and_not_guessed():
    with pytest.raises(NotImplementedError, match="NotAction"):
        Statement.of({"Effect": "Allow", "NotAction": "x", "Resource": "*"})
    with pytest.raises(NotImplementedError, match="NumericLessThan"):
        allowed(allow(NumericLessThan={"a:k": "1"}), "dynamodb:GetItem", a__k=("1",))
    with pytest.raises(NotImplementedError, match="2 values"):
        allowed(allow(StringEquals={"a:k": "1"}), "dynamodb:GetItem", a__k=("1", "2"))


def test_a_document_may_hold_one_statement_or_several():
    one = {"Effect": "Allow", "Action": "a:B", "Resource": "*"}
    assert statements_of({"Statement": one}) == statements_of({"Statement": [one]})


# ── Patterns, at random ─────────────────────────────────────────────────────────────────────────

WORDS = st.text("ab:/", max_size=6)
PATTERNS = st.text("ab:/*?", max_size=7)


@given(PATTERNS, WORDS)
def test_matching_agrees_with_the_shells(pattern: str, word: str):
    assert matches(pattern, word) is fnmatch.fnmatchcase(word, pattern)


@given(PATTERNS, PATTERNS, WORDS)
def test_patterns_that_share_a_text_overlap(one: str, other: str, word: str):
    assert overlap(one, other) is overlap(other, one)
    if matches(one, word) and matches(other, word):
        assert overlap(one, other)


@given(PATTERNS, WORDS)
def test_a_pattern_overlaps_a_plain_text_exactly_if_it_matches_it(pattern: str, word: str):
    assert overlap(pattern, word) is matches(pattern, word)


# ── Grants that can never match ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            allow(
                "logs:DescribeLogStreams", "arn:aws:logs:us-east-1:111122223333:log-group:/aws/x"
            ),
            "never checked",
        ),
        (
            allow(
                "sagemaker:InvokeEndpoint",
                "arn:aws:sagemaker:us-east-1:111122223333:endpoint/Flan-T5",
            ),
            "never checked",
        ),
        (allow("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/x"), "never"),
        (allow("dynamodb:Scan", [TABLE, f"{TABLE}/stream/*"]), "no ARN of dynamodb:Scan"),
        (
            allow("dynamodb:Scan", TABLE, StringEquals={"dynamodb:LeadingKeys": "x"}),
            "does not carry dynamodb:LeadingKeys",
        ),
        (allow("dynamodb:Fetch", TABLE), "not in simulator/iam/actions.py"),
    ],
)
def test_a_grant_that_can_never_match_is_found(statement: Statement, reason: str):
    found = list(unreachable(statement, HERE))
    assert found
    assert reason in found[0]


@pytest.mark.parametrize(
    "statement",
    [
        allow(),
        allow("dynamodb:Query", f"{TABLE}/index/unsettled"),
        allow("logs:PutLogEvents", "arn:aws:logs:us-east-1:111122223333:log-group:/aws/x:*"),
        allow("logs:FilterLogEvents", "arn:aws:logs:us-east-1:111122223333:log-group:/aws/x-*"),
        allow("sagemaker:ListEndpoints", "*"),
        allow(
            "sagemaker:DeleteEndpoint",
            "arn:aws:sagemaker:us-east-1:111122223333:endpoint/acme-*",
            StringEquals={"aws:ResourceTag/parkmeter:deployment": "acme"},
        ),
    ],
)
def test_a_grant_that_can_match_is_not(statement: Statement):
    assert list(unreachable(statement, HERE)) == []
