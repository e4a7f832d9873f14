"""Every benchmark runs in its shortest form, and a promise is judged by what was measured."""

import shutil
from pathlib import Path

import pytest

import benchmarks
from benchmarks import page, promises, runner, scenes
from benchmarks.__main__ import main
from benchmarks.figures import Effort, Figure, Measured, Outcome, number, percentile, ratios
from benchmarks.promises import Promise, Verdict, judge

QUICK = Effort(quick=True)
FOLDER = Path(benchmarks.__file__).parent
NEEDS_WRK = {"prompts", "v1", "closes", "compare", "fairness"}
NGINX_HERE = shutil.which("nginx") is not None
INSTALLED = ("Envoy", "LiteLLM")


def outcome(*figures, scene="prompts", failure=""):
    return Outcome(scene, "Title", "Method.", 2.0, 0.5, 0.03, Measured(figures), failure)


def test_every_module_of_scenes_is_named_once():
    modules = {file.stem for file in (FOLDER / "scenes").glob("[a-z]*.py")}
    named = [*scenes.ALL, *scenes.ON_REQUEST]
    assert set(named) == modules
    assert len(named) == len(modules)


def test_they_stay_small():
    lengths = {file: len(file.read_text("utf-8").splitlines()) for file in FOLDER.rglob("*.py")}
    assert sum(lengths.values()) <= 3000
    assert max(lengths.values()) <= 350


@pytest.mark.extended
@pytest.mark.parametrize("scene", [*scenes.ALL, *scenes.ON_REQUEST])
def test_a_scene_has_what_its_promises_are_judged_by(scene):
    if scene in NEEDS_WRK:
        assert shutil.which("wrk"), "wrk is not installed: .ci/run installs it where it is root"
    ran = runner.run(scene, QUICK)
    assert not ran.failure
    missing = [one.promise for one in judge([ran]) if one.figure is None]
    if scene in {"prompts", "streams"}:  # quick runs install no peers, and nginx may be missing
        missing = [one for one in missing if NGINX_HERE and not one.row.startswith(INSTALLED)]
    assert missing == []


def test_what_was_measured_is_kept_on_one_page(tmp_path, capfd):
    file = tmp_path / "RESULTS.md"
    assert main(["v1", "--quick", "--results", str(file)]) == 0
    printed, written = capfd.readouterr().out, file.read_text("utf-8")
    for text in ("| CPU that /v1 adds to 1 KB", "| CPU at its own path", "| 1 KB"):
        assert text in printed
        assert text in written
    assert written.index("## Promises") < written.index("## The cost of `/v1`")


def test_an_unknown_name_is_refused_before_anything_runs(capsys):
    with pytest.raises(SystemExit):
        main(["promts"])
    assert "promts" in capsys.readouterr().err


def test_a_scene_that_raises_is_an_outcome_and_fails_the_run(monkeypatch, capfd):
    monkeypatch.setattr("benchmarks.runner._in_a_process", lambda *_: (Measured(()), None, "why"))
    assert main(["v1", "--quick"]) == 1
    assert "**Failed:** why" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("limit", "word"), [("≤ 1.8", "met"), ("≤ 1.7", "MISSED"), ("≥ 1.8", "met"), ("≥ 2", "MISSED")]
)
def test_a_promise_is_judged_by_the_median(limit, word):
    figure = Figure("a row", "a column", (1.8, 1.5, 90.0))
    promise = Promise("words", "prompts", "a row", "a column", limit)
    assert str(Verdict(promise, figure, outcome(figure))) == word


def test_a_promise_without_a_figure_is_not_measured():
    promise = Promise("words", "prompts", "a row", "a column", "≤ 1")
    assert str(Verdict(promise, None, outcome())) == "not measured"


def test_every_promise_can_be_read():
    for promise in promises.promises():
        assert promise.scene in scenes.ALL
        assert promise.kept(Figure("", "", (1.0,))) in {True, False}


def test_only_promises_of_scenes_that_ran_are_judged():
    judged = judge([outcome(Figure("1 KB", "added", (14.0,), "µs"), scene="v1")])
    assert [str(one) for one in judged] == ["met"]


def test_the_page_has_promises_first_then_each_scene_then_the_notes():
    figures = Figure("parkmeter", "CPU", (41.0, 43.0, 42.0), "µs"), Figure("nginx", "rate", (9.0,))
    promise = Promise("A prompt's CPU", "prompts", "parkmeter", "CPU", "≤ 40")
    text = page.page(
        [outcome(*figures)],
        [Verdict(promise, figures[0], outcome())],
        {"Machine": "two cores"},
        "## Notes",
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "Written by one command, `make bench`. Of 1 promises 0 are met.",
        "* Machine: two cores",
        "| A prompt's CPU | 42 [41, 43] µs | 41 to 43 | ≤ 40 µs | MISSED | load 0.5, others 3% |",
        "Method. (load 0.5, others 3%; 2 s)",
        "| | CPU | rate |",
        "| parkmeter | 42 [41, 43] µs | |",
        "| nginx | | 9 |",
    ):
        assert line in lines
    assert text.index("## Promises") < text.index("## Title") < text.index("## Notes")


def test_a_failed_scene_stands_on_the_page():
    assert "**Failed:** it ended" in page.section(outcome(failure="it ended"))


def test_an_interval_is_within_the_spread_and_the_same_in_every_call():
    values = (9.0, 10.0, 10.2, 10.4, 30.0)
    low, high = Figure("a", "b", values).interval
    assert min(values) <= low <= 10.2 <= high <= max(values)
    assert Figure("a", "b", values).interval == (low, high)


def test_a_figure_needs_a_value():
    with pytest.raises(ValueError, match="nothing was measured"):
        Figure("a", "b", ())


def test_ratios_are_of_the_same_round():
    assert ratios((2.0, 9.0), (1.0, 3.0)) == (2.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        ratios((2.0,), (1.0, 3.0))


def test_a_percentile_is_one_of_the_values():
    assert percentile(range(1, 101), 0.99) == 100
    assert percentile([5.0], 0.99) == 5.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (123.4, "123"), (-12.34, "-12.3"), (1.234, "1.23"), (0.01234, "0.012")],
)
def test_numbers_have_the_digits_that_mean_something(value, text):
    assert number(value) == text
