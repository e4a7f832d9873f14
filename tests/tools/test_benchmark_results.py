"""The rows of the benchmarks are read, judged and printed as reported."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.report import Bound, Claim, Effort, Missing, Version, main, plain, read
from benchmarks.running import in_short, results, scripts
from benchmarks.running.scripts import Outcome

FASTER = Claim("data plane", "requests/s ÷ nginx", [0.9, 0.5, 0.7], "", Bound.AT_LEAST, 0.35)
SLOWER = Claim("start", "first text", [4.0, 5.0, 3.5], "s", Bound.AT_MOST, 3.0)
TOLD = Claim("data plane", "requests/s, nginx", [50_000.0])
ROWS = [FASTER, SLOWER, TOLD, Missing("Envoy", "it is not installed"), Version("nginx", "1.22")]


def kept(rows, folder, monkeypatch):
    file = folder / "rows.json"
    monkeypatch.setattr(sys, "argv", ["benchmark", "--json", str(file)])
    main("", lambda _effort: iter(rows), full=Effort(1), smoke=Effort(1))
    return read(file)


def test_what_was_written_is_read_back(tmp_path, monkeypatch):
    assert kept(ROWS, tmp_path, monkeypatch) == ROWS


def test_a_claim_that_was_read_back_is_judged_as_before(tmp_path, monkeypatch):
    read_back = kept(ROWS, tmp_path, monkeypatch)
    assert [row.met for row in read_back if isinstance(row, Claim)] == [True, False, None]


def test_a_benchmark_without_a_claim_has_failed(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="nothing was measured"):
        kept([Version("nginx", "1.22")], tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("asked", "effort"),
    [
        ([], Effort(7, 1.0)),
        (["--smoke"], Effort(1, 0.2, installs=False)),
        (["--rounds", "3", "--seconds", "2"], Effort(3, 2.0)),
        (["--smoke", "--rounds", "3"], Effort(3, 0.2, installs=False)),
    ],
)
def test_the_effort_is_what_was_asked_for(asked, effort, monkeypatch):
    efforts = []

    def measure(asked_for):
        efforts.append(asked_for)
        yield TOLD

    monkeypatch.setattr(sys, "argv", ["benchmark", *asked])
    main("", measure, full=Effort(7, 1.0), smoke=Effort(1, 0.2, installs=False))
    assert efforts == [effort]


@pytest.mark.parametrize(
    ("bound", "met"), [(Bound.AT_LEAST, True), (Bound.AT_MOST, True), (None, None)]
)
def test_a_median_on_its_target_meets_it(bound, met):
    assert Claim("a", "b", [1.0, 9.0, 2.0], "", bound, 2.0).met is met


def test_one_wild_round_decides_nothing():
    assert Claim("a", "b", [1.0, 1.1, 50.0], "", Bound.AT_MOST, 1.3).met


@pytest.mark.parametrize(
    ("number", "text"),
    [(12345.6, "12,346"), (123.4, "123"), (-12.34, "-12.3"), (1.234, "1.23"), (0.01234, "0.012")],
)
def test_numbers_have_the_digits_that_mean_something(number, text):
    assert plain(number) == text


def test_the_table_has_every_target_and_every_failure():
    failed = Outcome("growth", "", 1.0, failure="it ended")
    head, *lines = results.table([Outcome("data_plane", "", 1.0, ROWS), failed]).splitlines()
    assert head.startswith("claim")
    faster, slower, broken = lines
    assert "≥ 0.350" in faster
    assert faster.endswith("  met")
    assert "≤ 3.00 s" in slower
    assert slower.endswith("  MISSED")
    assert broken.startswith("growth ")
    assert broken.endswith("  FAILED: it ended")


def test_the_page_tells_all_that_was_found():
    outcomes = [Outcome("data_plane", "0.10 0.20 0.30", 61.2, ROWS)]
    page = results.page(
        outcomes, {"Date": "2026-01-01"}, "* A word, explained.\n", "* A line of a profile.\n"
    )
    for told in (
        "* A word, explained.",
        "* Date: 2026-01-01",
        "| data plane | requests/s ÷ nginx | 0.700 | 0.500 to 0.900 | ≥ 0.350 | met |",
        "| data plane | requests/s, nginx | 50,000 | 50,000 to 50,000 |",
        "* Envoy: not measured, it is not installed",
        "* nginx 1.22",
        "| data_plane | 0.10 0.20 0.30 | 61 s |",
        "* A line of a profile.",
    ):
        assert told in page


def test_the_page_begins_with_what_most_people_ask():
    name, figure = in_short.ASKED[0][1:]
    asked = Claim(name, figure, [1.5], "ms", Bound.AT_MOST, 50.0)
    page = results.page([Outcome("exactness", "", 1.0, [*ROWS, asked])], {}, "", "")
    short = page.partition("## ")[0]
    assert f"| {in_short.ASKED[0][0]} | 1.50 ms | ≤ 50.0 ms | met |" in short
    assert "nginx" not in short


def test_what_most_people_ask_is_answered_by_the_results_there_are():
    page = (Path(results.__file__).parents[1] / "RESULTS.md").read_text(encoding="utf-8")
    for what, subject, figure in in_short.ASKED:
        assert f"| {subject} | {figure} | " in page
        assert f"| {what} | " in page


def test_scripts_are_modules_and_packages_that_can_be_run(tmp_path):
    for name in ("__init__.py", "__main__.py", "report.py", "start.py"):
        (tmp_path / name).touch()
    for package in ("data_plane", "running"):
        (tmp_path / package).mkdir()
    (tmp_path / "data_plane" / "__main__.py").touch()
    assert scripts.found(tmp_path) == ["data_plane", "start"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("raise SystemExit(3)", "it ended with status 3"),
        ("", "its rows cannot be read"),
        ("import sys; open(sys.argv[2], 'w').write('[{\"kind\": \"Guess\"}]')", "Guess"),
    ],
)
def test_a_script_that_fails_is_an_outcome_too(script, why, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "broken.py").write_text(script, encoding="utf-8")
    monkeypatch.setattr(scripts, "BENCHMARKS", tmp_path / "benchmarks")
    outcome = scripts.run("broken", smoke=True)
    assert why in outcome.failure
    assert not outcome.rows


def test_a_script_that_works_has_rows(tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    rows = json.dumps([{"kind": "Version", "name": "nginx", "version": "1.22"}])
    script = f"import sys; open(sys.argv[2], 'w').write({rows!r})"
    (tmp_path / "benchmarks" / "working.py").write_text(script, encoding="utf-8")
    monkeypatch.setattr(scripts, "BENCHMARKS", tmp_path / "benchmarks")
    assert scripts.run("working", smoke=True).rows == [Version("nginx", "1.22")]
