"""The number of random cases: some in `make test`, many in `make test-all`; all are counted."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.support.case_count import CASES
from tests.support.random_input import try_cases

Run = Callable[[str, Callable[[Any], None], st.SearchStrategy[Any], int], None]


@pytest.fixture
def run(record_property: Callable[[str, object], None]) -> Run:
    """Return a function that tries a number of cases and reports them under a name."""

    def tried(
        name: str, check: Callable[[Any], None], values: st.SearchStrategy[Any], cases: int
    ) -> None:
        record_property(CASES + name, try_cases(check, values, cases))

    return tried
