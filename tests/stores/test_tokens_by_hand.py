"""Items written into the table `auth` by hand."""

from datetime import UTC, datetime

import pytest

from parkmeter.core.tokens import DEFAULT_SCOPES, Scope
from parkmeter.stores.dynamodb_tokens import id_of, token_from


def test_a_bare_pass_code_has_what_the_ancestors_had():
    token = token_from({"token": "seed-pass-code"})
    assert token.scopes == DEFAULT_SCOPES
    assert token.endpoints is None
    assert token.id == id_of({"token": "seed-pass-code"})


def test_an_unknown_scope_is_ignored():
    assert token_from({"token": "x", "scopes": ["root", "invoke"]}).scopes == {Scope.INVOKE}


def test_one_name_need_not_be_a_list_and_is_never_taken_for_its_letters():
    token = token_from({"token": "x", "scopes": "invoke", "endpoints": "flan-t5"})
    assert (token.scopes, token.endpoints) == ({Scope.INVOKE}, {"flan-t5"})
    assert token_from({"token": "x", "scopes": "administrator"}).scopes == frozenset()


@pytest.mark.parametrize(
    "text", ["2026-12-31", "2026-12-31T00:00:00", "2026-12-31T00:00:00Z", "2026-12-31T02:00+02:00"]
)
def test_a_time_without_a_zone_is_utc(text):
    token = token_from({"token": "x", "expires_at": text})
    assert token.expires_at == datetime(2026, 12, 31, tzinfo=UTC)
    assert not token.alive(datetime(2027, 1, 1, tzinfo=UTC))


def test_an_invalid_time_is_an_error_and_not_for_ever():
    with pytest.raises(ValueError, match="next summer"):
        token_from({"token": "x", "expires_at": "next summer"})
