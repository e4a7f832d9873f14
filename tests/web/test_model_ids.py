"""Which endpoint a `model` means."""

import json

import pytest

from parkmeter.web.model_ids import (
    LONGEST_ID,
    MOST_LEARNED,
    AmbiguousModelError,
    Destination,
    LearnedIds,
    ModelIds,
    UnknownModelError,
    listed_ids,
)
from parkmeter.web.routes import Route, Routes

QWEN = Route("qwen", "qwen", aliases=("gpt-4o-mini",), models=("Qwen/Qwen3-8B", "adapter"))
LLAMA = Route("llama", "llama")
PHI = Route("phi", "phi")


def ids(**learned: tuple[str, ...]) -> ModelIds:
    return ModelIds([QWEN, LLAMA, PHI], learned)


def all_of(_name: str) -> bool:
    return True


def none_of(_name: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("qwen", Destination("qwen", served=False)),
        ("gpt-4o-mini", Destination("qwen", served=False)),
        ("Qwen/Qwen3-8B", Destination("qwen", served=True)),
        ("adapter", Destination("qwen", served=True)),
        ("meta/llama", Destination("llama", served=True)),
        ("llama", Destination("llama", served=False)),
    ],
)
def test_a_name_an_alias_or_an_id_of_its_server_means_an_endpoint(model, expected):
    assert ids(llama=("meta/llama",)).find(model, all_of, none_of) == expected


def test_a_listed_id_takes_nothing_away_from_another_endpoint():
    known = ids(llama=("qwen", "gpt-4o-mini", "Qwen/Qwen3-8B", "phi", "own"))
    for model, owner in (("qwen", "qwen"), ("gpt-4o-mini", "qwen"), ("phi", "phi")):
        assert known.find(model, all_of, all_of).endpoint == owner
        with pytest.raises(UnknownModelError):
            known.find(model, {"llama"}.__contains__, all_of)
    assert [id_ for id_, name in known.listed(all_of, all_of) if name == "llama"] == [
        "llama",
        "own",
    ]


def test_an_endpoints_name_that_its_server_knows_is_sent_on_as_it_is():
    assert ids(llama=("llama",)).find("llama", all_of, none_of).served


def test_the_served_id_is_the_first_configured_one_or_the_first_that_was_listed():
    known = ids(llama=("a", "b"), qwen=("c",))
    assert [known.served_id(name) for name in ("qwen", "llama", "phi", "unknown")] == [
        "Qwen/Qwen3-8B",
        "a",
        None,
        None,
    ]


def test_of_two_endpoints_that_serve_an_id_the_open_one_is_meant():
    known = ids(llama=("both",), phi=("both",))
    assert known.find("both", all_of, {"phi"}.__contains__).endpoint == "phi"
    assert known.find("both", {"llama"}.__contains__, none_of).endpoint == "llama"
    for open_ones in (all_of, none_of):
        with pytest.raises(AmbiguousModelError) as caught:
            known.find("both", all_of, open_ones)
        assert caught.value.data["endpoints"] == ["llama", "phi"]
    assert ("both", "phi") in known.listed(all_of, {"phi"}.__contains__)
    assert ("both", "llama") in known.listed(all_of, none_of)


def test_unknown_and_not_covered_are_the_same_error():
    covers = {"llama", "phi"}.__contains__
    errors = []
    for model in ("nothing", "qwen", "gpt-4o-mini", "Qwen/Qwen3-8B"):
        with pytest.raises(UnknownModelError) as caught:
            ids().find(model, covers, all_of)
        errors.append((caught.value.detail.replace(model, "X"), caught.value.data))
    assert all(error == errors[0] for error in errors)
    assert errors[0][1] == {"field": "model", "endpoints": ["llama", "phi"]}
    assert "It may use: llama, phi." in errors[0][0]


def test_an_error_repeats_little_of_what_was_sent_and_names_few():
    many = ModelIds([Route(f"e{number}", f"e{number}") for number in range(500)])
    with pytest.raises(UnknownModelError) as caught:
        many.find("x" * 10_000, all_of, all_of)
    assert len(caught.value.detail) < 400
    assert "and 480 more" in caught.value.detail


def test_everything_a_token_may_use_is_listed_once():
    listed = ids(llama=("meta/llama",), qwen=("adapter", "new")).listed(
        {"qwen", "llama"}.__contains__, none_of
    )
    assert listed == [
        ("qwen", "qwen"),
        ("gpt-4o-mini", "qwen"),
        ("Qwen/Qwen3-8B", "qwen"),
        ("adapter", "qwen"),
        ("llama", "llama"),
        ("new", "qwen"),
        ("meta/llama", "llama"),
    ]


def test_what_was_learned_outlives_a_new_configuration():
    learned = LearnedIds()
    one, two, other = Routes([LLAMA]), Routes([LLAMA, PHI]), Routes([PHI])
    before = learned.ids(one)
    assert before is learned.ids(one)
    learned.learn("llama", ("a",))
    for routes in (one, two):
        found = learned.ids(routes).find("a", all_of, none_of)
        assert found == Destination("llama", served=True)
    with pytest.raises(UnknownModelError):
        learned.ids(other).find("a", all_of, none_of)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"object": "list", "data": [{"id": "a", "root": "x"}, {"id": "b"}]}, ("a", "b")),
        ({"data": [{"id": "a"}, {"id": 1}, {"id": ""}, {"id": "a\n"}, {}, {"id": "a"}]}, ("a",)),
        ({"data": [{"id": "x" * LONGEST_ID}, {"id": "x" * (LONGEST_ID + 1)}]}, ("x" * LONGEST_ID,)),
        ({"data": [{"id": f"{n}"} for n in range(999)]}, tuple(map(str, range(MOST_LEARNED)))),
        ({"data": {}}, ()),
        ({"models": []}, ()),
        ([], ()),
        (None, ()),
    ],
)
def test_what_a_server_lists_is_bounded(document, expected):
    assert listed_ids(json.dumps(document).encode()) == expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff", b'{"data":[' * 9000, b'{"data":[{"id":"\xff"}]}']
)
def test_what_is_no_list_teaches_nothing(body):
    assert listed_ids(body) == ()
