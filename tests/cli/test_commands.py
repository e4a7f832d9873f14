"""The commands against a real gateway: the text and the JSON that they print."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.command import Done, run_command
from tests.support.gateway_process import TOKEN, GatewayProcess, ping_config

Run = Callable[..., Done]

TWO = "\n".join(
    [
        ping_config(initial_provision_time_minutes=0, price_per_hour=7.09),
        ping_config(initial_provision_time_minutes=0)
        .replace("flan-t5", "qwen")
        .replace('api_resource = "flan"', ""),
    ]
)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """The shipped model, alone."""
    with GatewayProcess(tmp_path_factory.mktemp("one") / "state").start() as made:
        yield made


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Two endpoints, their meters closed at first."""
    with GatewayProcess(tmp_path_factory.mktemp("two") / "state", TWO).start() as made:
        yield made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("PARKMETER_URL", "PARKMETER_TOKEN", "PARKMETER_STATE"):
        monkeypatch.delenv(name, raising=False)

    def invoke(gateway: GatewayProcess, *arguments: str, **given: object) -> Done:
        return run_command(*arguments, env={"PARKMETER_STATE": str(gateway.state)}, **given)

    return invoke


def test_status_is_one_line_per_endpoint(run, two):
    two.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 30})
    two.until("running")
    done = run(two, "status")
    first, second = done.stdout.splitlines()
    assert done.exit_code == 0
    assert first.split()[:2] == ["flan-t5", "running"]
    assert "29:5" in first
    assert "until" in first
    assert "$7.09/h" in first
    assert "serving" in first
    assert second.split()[:2] == ["qwen", "stopped"]
    assert "top up to start it" in second
    assert run(two, "status", "qwen").stdout.splitlines() == [
        "qwen  stopped  no time on the meter: top up to start it"
    ]


def test_json_is_the_apis_own(run, two):
    listed = json.loads(run(two, "status", "--json").stdout)
    assert [endpoint["name"] for endpoint in listed["endpoints"]] == ["flan-t5", "qwen"]
    alone = json.loads(run(two, "status", "qwen", "--json").stdout)
    assert set(alone) == set(two.endpoint("qwen"))


def test_a_top_up_may_leave_the_name_out_when_there_is_one_endpoint(run, one, two):
    done = run(one, "top-up", "1.5")
    assert done.exit_code == 0
    assert done.stdout.startswith("flan-t5  +1.5 min: ")
    refused = run(two, "top-up", "1.5")
    assert refused.exit_code == 2
    assert "flan-t5, qwen" in refused.stderr


def test_the_price_of_the_demo_is_marked_as_make_believe(run, one):
    assert "$1.20/h (make-believe price of the demo)" in run(one, "status").stdout
    note = "Not real money: make-believe price of the demo, $1.20 an hour."
    assert note in run(one, "receipt").stdout.splitlines()


def test_a_price_of_the_configuration_is_not_marked(run, two):
    assert "make-believe" not in run(two, "status").stdout + run(two, "receipt").stdout


def test_a_top_up_can_wait_until_it_runs(run, two):
    done = run(two, "top-up", "qwen", "5", "--wait")
    assert done.exit_code == 0
    added, running = done.stdout.splitlines()
    assert added.startswith("qwen  +5 min: 5:00 left, until ")
    assert running.startswith("qwen  running, 4:5")


@pytest.mark.parametrize("minutes", ["soon", "", "3O", "nan", "inf"])
def test_without_a_number_of_minutes_the_usage_is_shown(run, one, minutes):
    done = run(one, "top-up", "flan-t5", minutes)
    assert done.exit_code == 2
    usage = "How many minutes? Usage: parkmeter top-up [NAME] MINUTES, for example 30."
    assert done.stderr == f"parkmeter: {usage}\n"


def test_the_gateway_checks_the_limits(run, one):
    for minutes in ("0", "10000"):
        done = run(one, "top-up", "flan-t5", minutes)
        assert done.exit_code == 1, minutes
        assert done.stderr.startswith("parkmeter: ")


def test_eject_shows_the_time_given_up_and_as_json_the_answer_of_the_api(run, two):
    run(two, "top-up", "qwen", "60")
    done = run(two, "eject", "qwen", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith("qwen  ejected, ")
    run(two, "top-up", "qwen", "60")
    changed = json.loads(run(two, "eject", "qwen", "--json").stdout)
    assert changed["minutes"] < -59


def test_a_prompt_is_streamed_and_can_be_read_from_stdin_or_be_json(run, one):
    one.until("running")
    written = run(one, "invoke", "flan-t5", "write a story about a fox.")
    assert written.exit_code == 0
    assert "fox" in written.stdout
    read = run(one, "invoke", "-", input="write a story about a fox.")
    assert "fox" in read.stdout
    body = json.dumps({"text_inputs": "write a story about a fox.", "max_length": 20})
    (text,) = json.loads(run(one, "invoke", body, "--json-body", "--raw").stdout)["generated_texts"]
    assert "fox" in text


def test_a_prompt_that_the_model_refuses_shows_its_error(run, one):
    one.until("running")
    done = run(one, "invoke", '{"text": 1}', "--json-body")
    assert done.exit_code == 1
    assert "not a parameter" in done.stderr
    assert run(one, "invoke", "{", "--json-body").exit_code == 2


def test_a_closed_meter_names_the_command_that_opens_it(run, two):
    run(two, "eject", "qwen")
    two.until("stopped", "qwen")
    done = run(two, "invoke", "qwen", "hi")
    assert done.exit_code == 5
    assert done.stderr.splitlines()[-1] == "  parkmeter top-up qwen 30 --wait"
    as_json = run(two, "invoke", "qwen", "hi", "--json")
    assert as_json.exit_code == 5
    assert json.loads(as_json.stderr)["code"] == "meter_closed"
    assert as_json.stdout == ""


def test_the_journal_shows_the_newest_last_and_as_json_a_line_each(run, two):
    run(two, "top-up", "qwen", "2")
    run(two, "top-up", "flan-t5", "2")
    lines = run(two, "journal", "flan-t5").stdout.splitlines()
    assert any(line.endswith("+2 min") for line in lines), "the minutes stand there once"
    run(two, "eject", "flan-t5")
    ejected = run(two, "journal", "flan-t5").stdout.splitlines()
    assert any(re.search(r"-[\d.]+ min +given up$", line) for line in ejected)
    documents = [json.loads(line) for line in run(two, "journal", "--json").stdout.splitlines()]
    assert {line["endpoint"] for line in documents} == {"flan-t5", "qwen"}
    assert [line["at"] for line in documents] == sorted(line["at"] for line in documents)
    assert len(run(two, "journal", "-n", "3").stdout.splitlines()) == 3


def test_a_journal_can_be_followed_and_shows_each_line_once(two):
    two.request("POST", "/endpoints/qwen/eject")
    two.until("stopped", "qwen")
    follow = subprocess.Popen(
        [sys.executable, "-m", "parkmeter", "journal", "--follow", "--json", "-n", "1"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PARKMETER_STATE": str(two.state)},
    )
    try:
        newest = json.loads(follow.stdout.readline())
        # A closed meter: its start is the second line.
        two.request("POST", "/endpoints/qwen/top-ups", {"minutes": 3})
        fresh = [json.loads(follow.stdout.readline()) for _ in range(2)]
        assert all(line["at"] >= newest["at"] for line in fresh)
        assert fresh[0]["minutes"] == 3
        assert fresh[0] != fresh[1]
    finally:
        follow.send_signal(signal.SIGINT)
        assert follow.wait(20) == 130
        follow.stdout.close()


def test_names_are_completed_from_the_gateway(two, monkeypatch):
    monkeypatch.setenv("PARKMETER_STATE", str(two.state))
    environment = {
        "_PARKMETER_COMPLETE": "complete_bash",
        "COMP_WORDS": "parkmeter status q",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "parkmeter"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "qwen\n"


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────


def test_without_a_gateway_the_error_names_the_command_that_starts_one(tmp_path, monkeypatch):
    monkeypatch.delenv("PARKMETER_URL", raising=False)
    done = run_command("status", env={"PARKMETER_STATE": str(tmp_path)})
    assert done.exit_code == 3
    assert "parkmeter up" in done.stderr


def test_a_gateway_that_does_not_answer_is_named(run, one, monkeypatch):
    monkeypatch.setattr("parkmeter.cli.connection._PATIENCE_SECONDS", 0.1)
    done = run(one, "status", "--url", "http://127.0.0.1:9")
    assert done.exit_code == 3
    assert "http://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    ("url", "proxy"), [("http://a..b", ""), ("http://gateway.test", "socks5://127.0.0.1:9")]
)
def test_an_address_or_a_proxy_that_cannot_work_is_named(run, one, monkeypatch, url, proxy):
    monkeypatch.setattr("parkmeter.cli.connection._PATIENCE_SECONDS", 0.1)
    monkeypatch.setenv("http_proxy", proxy)
    done = run(one, "status", "--url", url)
    assert done.exit_code == 3
    assert done.stderr.startswith(f"parkmeter: No answer at {url}: ")
    assert proxy.partition(":")[0] in done.stderr


def test_a_refused_token_and_an_unknown_endpoint_have_codes_of_their_own(run, one, monkeypatch):
    assert run(one, "status", "nope").exit_code == 1
    monkeypatch.setenv("PARKMETER_TOKEN", "wrong")
    done = run(one, "status")
    assert done.exit_code == 4
    assert "PARKMETER_TOKEN" in done.stderr


def test_the_token_of_a_state_folder_is_not_sent_elsewhere(run, one, two):
    done = run(one, "status", "--url", two.url)
    assert done.exit_code == 4
    assert "token" in done.stderr.lower()


def test_no_command_takes_a_token_as_an_argument_or_prints_one(run, one):
    assert run(one, "status", "--token", "x").exit_code == 2
    assert TOKEN not in run(one, "status", "--json").stdout


def test_help_lists_the_exit_codes():
    shown = " ".join(run_command("--help").stdout.split())
    for code in ("3 gateway not reachable", "5 meter closed", "7 conflict"):
        assert code in shown
