"""Commands against a server that speaks the contract: tokens, receipts, logs, and conflicts."""

import json
from collections.abc import Iterator

import pytest

from tests.support.command import run_command as run
from tests.support.contract_server import ADMIN, RECEIPT, ContractServer, endpoint, problem


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContractServer]:
    monkeypatch.setenv("TZ", "UTC")
    with ContractServer() as made:
        monkeypatch.setenv("PARKMETER_URL", f"{made.url}/prod")
        monkeypatch.setenv("PARKMETER_TOKEN", ADMIN)
        yield made


def test_a_new_token_is_all_of_standard_output(server):
    done = run("token", "create", "ada", "--scope", "invoke", "--endpoint", "flan-t5")
    assert done.exit_code == 0
    assert done.stdout == "pm_secret-1\n"
    assert "Shown only once" in done.stderr
    assert server.tokens["pm_secret-1"]["scopes"] == ["invoke"]
    assert server.tokens["pm_secret-1"]["endpoints"] == ["flan-t5"]


def test_a_token_may_expire_after_a_span_or_at_a_time(server):
    assert run("token", "create", "a", "--expires", "30d").exit_code == 0
    assert run("token", "create", "b", "--expires", "2027-01-01T00:00:00+00:00").exit_code == 0
    *_, spanned, dated = server.tokens.values()
    assert spanned["expires_at"]
    assert dated["expires_at"] == "2027-01-01T00:00:00+00:00"
    assert run("token", "create", "c", "--expires", "soon").exit_code == 2


def test_tokens_are_listed_without_secrets_and_revoked_by_name_or_id(server):
    made = json.loads(run("token", "create", "ada", "--minutes-per-day", "60", "--json").stdout)
    listed = run("token", "list").stdout
    assert "ada" in listed
    assert "60 min a day" in listed
    assert made["token"] not in listed
    assert run("token", "revoke", "ada").stdout == f"ada ({made['id']}) is revoked.\n"
    assert run("token", "revoke", made["id"]).exit_code == 2
    assert run("token", "revoke", "first").exit_code == 7


def test_a_token_of_an_application_is_marked_and_listed_so(server):
    assert run("token", "create", "webui", "--speaks-for-others").exit_code == 0
    assert server.tokens["pm_secret-1"]["speaks_for_others"] is True
    assert "speaks for others" in run("token", "list").stdout
    assert run("token", "create", "ada").exit_code == 0
    assert run("token", "list").stdout.count("speaks for others") == 1


def test_a_name_that_is_taken_is_a_conflict(server):
    assert run("token", "create", "first").exit_code == 7


def test_a_device_that_is_held_is_a_conflict_that_names_the_holder(server):
    server.failures = [
        problem(409, "device_busy", "gpu0 is held by qwen until 19:00.", device="gpu0")
    ]
    done = run("top-up", "flan-t5", "10")
    assert done.exit_code == 7
    assert "held by qwen" in done.stderr


def test_an_eject_that_came_too_late_changes_nothing_and_names_the_next_step(server):
    server.failures = [
        None,
        problem(409, "expiry_moved", "The meter was topped up in the meantime."),
    ]
    done = run("eject", "flan-t5", "--yes")
    assert done.exit_code == 7
    assert "parkmeter status flan-t5" in done.stderr


def test_a_receipt_shows_hours_money_and_people(server):
    output = run("receipt", "flan-t5", "--from", "2026-11-01").stdout
    for word in (
        "1.50 h",
        "$10.64",
        "always on",
        "$170.16",
        "saved",
        "$159.5",
        "ada",
        "ben",
        "ml.g5.xlarge",
    ):
        assert word in output
    assert "from=2026-11-01T00%3A00%3A00" in server.seen[-1][1]
    assert json.loads(run("receipt", "flan-t5", "--json").stdout) == RECEIPT
    assert run("receipt", "--from", "yesterday").exit_code == 2


def test_the_queue_on_aws_has_a_line_of_its_own(server):
    assert "queue" not in run("receipt").stdout
    server.failures = [None, (200, RECEIPT | {"queue": {"hours_on": 0.5, "cost": "3.5000"}})]
    (line,) = [one for one in run("receipt").stdout.splitlines() if "queue" in one]
    assert line.split() == ["its", "queue", "30.0", "min", "$3.50", "not", "in", "the", "totals"]


USAGE = {
    "since": "2026-11-01T00:00:00Z",
    "input_tokens": 1_200_000,
    "output_tokens": 700_000,
    "answers": 812,
    "unknown": 0,
    "cost_per_million": "0.4100",
}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "1.9 M tokens: $0.41 a million at these hours' price"),
        (
            {"unknown": 12},
            "1.9 M tokens: at most $0.41 a million at these hours' price (12 answers did not say)",
        ),
        ({"cost_per_million": None, "input_tokens": 9, "output_tokens": 4091}, "4.1 k tokens"),
        ({"input_tokens": None, "output_tokens": None}, None),
    ],
)
def test_a_receipt_says_what_a_million_tokens_cost_where_that_is_known(server, changed, line):
    assert "token" not in run("receipt").stdout
    server.failures = [None, (200, RECEIPT | {"usage": USAGE | changed})]
    assert [one for one in run("receipt").stdout.splitlines() if "tokens" in one] == (
        [] if line is None else [line]
    )


def test_usage_is_shown_by_who_asked_and_unknown_is_not_zero(server):
    period = {"endpoint": "flan-t5", "from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}
    ada = {"input_tokens": 1200, "output_tokens": 700, "answers": 2, "unknown": 1}
    ben = {"input_tokens": None, "output_tokens": None, "answers": 0, "unknown": 3}
    parts = [{"who": "ada", **ada}, {"who": "ben", **ben}]
    whole = {**period, **ada, "unknown": 4, "since": period["from"], "parts": parts}
    server.failures = [None, (200, whole), None, (200, whole)]
    lines = run("usage", "flan-t5", "--from", "2026-11-01").stdout.splitlines()
    assert lines[-4].split("  ")[-1].strip() == "more without usage", "not some of those before"
    assert [line.split() for line in lines[-3:]] == [
        ["ada", "1,200", "700", "2", "1"],
        ["ben", "unknown", "unknown", "0", "3"],
        ["all", "1,200", "700", "2", "4"],
    ]
    assert "/usage?from=2026-11-01" in server.seen[-1][1]
    assert json.loads(run("usage", "--json").stdout) == whole
    nothing = {**whole, "parts": [], "since": None}
    server.failures = [None, (200, nothing), None, (200, nothing | {"since": period["from"]})]
    assert "not counted by this gateway" in run("usage").stdout
    assert "no answers" in run("usage").stdout


def test_the_known_part_of_an_unknown_cost_is_shown(server):
    partly = {"cost": None, "known_cost": "1.2900", "saved": None, "unpriced_hours": 2 / 60}
    server.failures = [None, (200, RECEIPT | partly)]
    output = run("receipt").stdout
    assert "at least $1.29" in output
    assert "2.0 min without a known price (not in the totals)" in output


def test_an_unknown_price_is_shown_as_unknown(server):
    unpriced = {"cost": None, "known_cost": None, "saved": None, "unpriced_hours": 1.5}
    server.failures = [None, (200, RECEIPT | unpriced)]
    output = run("receipt").stdout
    assert "at least" not in output
    assert "unknown" in output
    assert "1.50 h without a known price (not in the totals)" in output
    assert "$0" not in output


def test_a_closed_meter_is_shown_without_the_call_for_other_clients(server):
    call = "curl 'http://a/endpoints/flan-t5/top-ups' -H 'Authorization: '$TOKEN -d minutes=30"
    detail = "The meter of 'flan-t5' holds no time. Add 30 minutes ($0.41 at $0.82 an hour)"
    said = f"{detail}, then send this request again: {call}"
    server.failures = [problem(402, "meter_closed", said, endpoint="flan-t5")]
    done = run("invoke", "flan-t5", "hi")
    assert done.exit_code == 5
    assert " ".join(done.stderr.split()) == (
        f"parkmeter: {detail}. parkmeter top-up flan-t5 30 --wait"
    )


def test_no_top_up_is_advised_while_another_endpoint_holds_the_device(server):
    detail = "The meter of 'flan-t5' holds no time, and gpu0 is held by 'qwen' until 13:00 UTC."
    more = {"endpoint": "flan-t5", "top_up": None, "held_by": "qwen"}
    server.failures = [problem(402, "meter_closed", detail, **more)]
    done = run("invoke", "flan-t5", "hi")
    assert " ".join(done.stderr.split()) == f"parkmeter: {detail} parkmeter status qwen"


def test_logs_are_printed_as_they_are(server):
    assert run("logs", "flan-t5").stdout == "loading\nready [now]\n"
    coming = [["[red]one"], []]
    server.more_log = lambda: coming.pop(0)
    assert run("logs", "--follow", "--lines", "1").stdout == "ready [now]\n[red]one\n"
    assert run("logs", "-n", "1", "--json").stdout == '"ready [now]"\n'


def test_an_openai_chat_is_sent_and_its_stream_shown(server):
    asked = []

    def model(body: dict) -> tuple[int, object]:
        asked.append(body)
        pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("Hel", "lo")]
        first = {"choices": [{"delta": {"role": "assistant"}}]}
        stream = [json.dumps(piece) for piece in (first, *pieces, {"choices": []})]
        return 200, "".join(f"data: {event}\n\n" for event in (*stream, "[DONE]"))

    server.prompts = model
    assert run("invoke", "flan-t5", "Hi", "--chat", "--model", "m").stdout == "Hello\n"
    messages = [{"role": "user", "content": "Hi"}]
    assert asked == [{"model": "m", "messages": messages, "stream": True}]


@pytest.mark.parametrize(
    "error",
    [
        {"message": "No time left.", "code": "meter_closed", "status": 402},
        {"message": "No time left.", "code": 500},
    ],
)
def test_a_stream_that_ends_with_an_error_is_no_success(server, error):
    begun = {"choices": [{"delta": {"content": "Hel"}}]}
    events = [begun, {"error": error}]
    server.prompts = lambda _body: (200, "".join(f"data: {json.dumps(e)}\n\n" for e in events))
    ended = run("invoke", "flan-t5", "Hi", "--chat")
    assert ended.stdout.startswith("Hel")
    assert "No time left." in ended.stderr
    assert ended.exit_code != 0


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"generated_texts": ["a", "b"]}, "a\nb\n"),
        ({"choices": [{"message": {"content": "c"}}]}, "c\n"),
        ({"choices": [{"text": "d"}]}, "d\n"),
        ({"other": 1}, '{\n  "other": 1\n}\n'),
    ],
)
def test_a_whole_answer_shows_its_text_where_that_is_known(server, answer, shown):
    server.prompts = lambda _body: (200, answer)
    assert run("invoke", "flan-t5", "Hi").stdout == shown


def test_a_model_that_stops_with_an_error_is_an_error(server):
    server.prompts = lambda _body: (
        200,
        'data: {"text": "Once"}\n\nevent: error\ndata: {"detail": "out of memory"}\n\n',
    )
    done = run("invoke", "flan-t5", "Hi")
    assert done.exit_code == 1
    assert done.stdout.startswith("Once")
    assert "out of memory" in done.stderr


def test_a_prompt_waits_with_the_option_wait(server):
    output = "'flan-t5' is starting: loading. With the header `Prefer: wait=60` the request waits."
    loading = problem(503, "not_serving", output)
    server.failures = [None, (*loading, {"Retry-After": "0"})]
    server.prompts = lambda _body: (200, {"generated_texts": ["there"]})
    assert run("invoke", "Hi", "--wait").stdout == "there\n"
    server.failures = [(*loading, {"Retry-After": "0"})]
    done = run("invoke", "flan-t5", "Hi")
    assert done.exit_code == 6
    assert done.stderr.splitlines() == [
        "parkmeter: 'flan-t5' is starting: loading.",
        "  parkmeter invoke flan-t5 … --wait",
    ]


def test_waiting_for_what_will_not_run_has_the_code_of_not_serving(server):
    failed = endpoint("flan-t5", status="failed", reason="CUDA out of memory.", next_try=None)
    server.failures = [None, (200, failed)]
    done = run("top-up", "flan-t5", "1", "--wait")
    assert done.exit_code == 6
    assert "CUDA out of memory" in done.stderr


def test_an_eject_on_a_terminal_asks_first(server, monkeypatch):
    monkeypatch.setattr("parkmeter.cli.meters._is_interactive", lambda: True)
    done = run("eject", "flan-t5", input="n\n")
    assert done.exit_code == 1
    assert not any(path.endswith("/eject") for _, path, *_ in server.seen)
    assert run("eject", "flan-t5", input="y\n").exit_code == 0


def test_a_top_up_in_dollars_shows_the_time_they_bought(server):
    done = run("top-up", "flan-t5", "--dollars", "5")
    assert done.exit_code == 0, done.output
    assert "for $5.00" in done.stdout
    assert server.seen[-1][3] == {"dollars": "5"}
    assert run("top-up", "flan-t5", "10", "--dollars", "5").exit_code == 2
    assert run("top-up", "flan-t5", "--dollars", "much").exit_code == 2


def test_a_top_up_without_a_reply_can_be_repeated_and_counts_once(server, monkeypatch):
    monkeypatch.setattr("parkmeter.cli.connection._PATIENCE_SECONDS", 0.0)
    server.failures = ["lost"]
    done = run("top-up", "flan-t5", "10")
    assert done.exit_code == 3
    output, step = done.stderr.splitlines()
    assert "No reply, so we can't tell if it went through." in output
    *command, flag, key = step.split()
    assert [*command, flag] == ["parkmeter", "top-up", "flan-t5", "10", "--key"]
    assert run(*command[1:], flag, key).exit_code == 0
    first, second = (headers["idempotency-key"] for _, _, headers, _ in server.seen[-2:])
    assert first == second == key


def test_a_receipt_as_csv_is_one_document_for_all_endpoints(server):
    server.endpoints["falcon"] = endpoint("falcon")
    output = run("receipt", "--csv")
    assert output.exit_code == 0, output.output
    names = list(server.endpoints)
    assert output.stdout.splitlines() == ["row,endpoint", *(f"total,{name}" for name in names)]
    assert run("receipt", "--csv", "--json").exit_code == 2
