"""Random input: valid texts that were damaged, pieces in any order, and the number of cases.

All cases follow from one seed, so a failure comes again; `FUZZ_SEED=7 make test-all` has others,
and `FUZZ_TIMES=10` ten times as many.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SEED = int(os.environ.get("FUZZ_SEED", "13"))
TIMES = int(os.environ.get("FUZZ_TIMES", "1"))

_LONGEST = 16 * 1024
"""Bytes of one input."""


def try_cases(check: Callable[[Any], None], values: st.SearchStrategy[Any], cases: int) -> int:
    """Call `check` with this number of values, `TIMES` over; return how many were really tried."""
    tried = 0

    @seed(SEED)
    @settings(
        max_examples=cases * TIMES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(value=values)
    def each(value: Any) -> None:
        nonlocal tried
        tried += 1
        check(value)

    each()
    return tried


def damaged(valid: Sequence[bytes], pieces: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Valid inputs with a few places replaced, repeated or left out, and pieces in any order."""
    piece = st.one_of(st.sampled_from(pieces), st.binary(max_size=6))
    edit = st.tuples(st.integers(0, 10_000), st.integers(0, 16), piece, st.sampled_from((1, 1, 40)))
    return st.one_of(
        st.builds(_edited, st.sampled_from(valid), st.lists(edit, min_size=1, max_size=5)),
        st.lists(piece, max_size=24).map(b"".join),
    )


def damaged_text(valid: Sequence[str], pieces: Sequence[str]) -> st.SearchStrategy[str]:
    """The same for text; any character may stand in it."""
    piece = st.one_of(st.sampled_from(pieces), st.text(max_size=4))
    edit = st.tuples(st.integers(0, 10_000), st.integers(0, 16), piece, st.sampled_from((1, 1, 40)))
    return st.one_of(
        st.builds(_edited, st.sampled_from(valid), st.lists(edit, min_size=1, max_size=5)),
        st.lists(piece, max_size=24).map("".join),
    )


def _edited(valid: Any, edits: Sequence[tuple[int, int, Any, int]]) -> Any:
    for place, length, piece, times in edits:
        at = place % (len(valid) + 1)
        valid = valid[:at] + piece * times + valid[at + length :]
    return valid[:_LONGEST]


JSON_PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"null", b"true", b"0", b"-1", b"1e999", b"NaN"),
    *(b"Infinity", b"-Infinity", b'"\\ud800"', b"\xef\xbb\xbf", b"\0", b"\xff", b"9" * 5000),
    *(b"[" * 12_000, b'{"a":' * 3_000, b"1e-999", b'"minutes"', b'"dollars"', b"10"),
]

json_values = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        st.sampled_from([10**400, -(10**400), 1e308, 5e-324, "1e9", "NaN", "", "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
"""Whatever `json.loads` may return."""
