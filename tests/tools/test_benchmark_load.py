"""The data plane benchmark counts what it says, and lets no failed request pass as a fast one."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.data_plane import load, processes, streams, wrk
from benchmarks.data_plane.claims import Found, claims
from benchmarks.data_plane.load import Load, RefusedError
from benchmarks.data_plane.peer import Program
from benchmarks.data_plane.questions import Question
from benchmarks.data_plane.rounds import Round, StreamRound, stubs

WRK = shutil.which("wrk")

SAID = """Running 1s test @ http://127.0.0.1:8080/flan
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   300.13us   90.00us   2.10ms   91.00%
  52000 requests in 1.00s, 21.00MB read
Requests/sec:  51990.12
parkmeter-load {"requests": 52000, "microseconds": 1000190, "p50": 236, "failed": 0, "refused": 0}
"""


def test_figures_of_wrk_are_read():
    assert wrk.read(SAID) == Load(52000, 1.00019, 0.000236)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SAID.replace('"refused": 0', '"refused": 7'), "7 refused"),
        (SAID.replace('"failed": 0', '"failed": 3'), "3 failed"),
        (SAID.replace('"requests": 52000', '"requests": 0'), "0 requests"),
        ("unable to connect to 127.0.0.1:8080 Connection refused", "unable to connect"),
    ],
)
def test_a_run_with_a_fault_is_no_measurement(said, why):
    with pytest.raises(RefusedError, match=why):
        wrk.read(said)


def test_both_generators_send_the_same_headers_and_body():
    question = Question(body=json.dumps({"text": 'a "quoted" word'}).encode())
    raw, script = question.raw(8080).decode(), wrk.script(question)
    for name, value in question.headers.items():
        assert f"\r\n{name}: {value}\r\n" in raw
        assert f'wrk.headers["{name}"] = "{value}"' in script
    assert raw.endswith("\r\n\r\n" + question.body.decode())
    assert json.loads(re.search(r"wrk.body = (.*)", script)[1]) == question.body.decode()


@pytest.fixture
def stub(tmp_path):
    with stubs(1, tmp_path) as ports:
        yield ports[0]


def test_our_own_clients_count_what_is_answered(stub):
    opened = processes.connections(stub)
    found = load.drive(stub, Question(), clients=3, seconds=0.1)
    assert found.requests > 3
    assert 0 < found.p50 < found.seconds
    assert processes.connections(stub) - opened == 3


@pytest.mark.skipif(not (WRK or os.environ.get("CI")), reason="wrk is not installed")
def test_wrk_counts_what_is_answered(stub, tmp_path):
    assert WRK, "wrk is not installed: .ci/run installs it where it is root"
    found = wrk.Wrk(Program(WRK, ""), tmp_path).drive(stub, Question(), 3, 1.0)
    assert found.requests > 3
    assert 0 < found.p50 < 0.9 < found.seconds


def test_an_answer_that_is_no_success_is_no_measurement(stub):
    question = replace(Question(), token="a\r\nTransfer-Encoding: chunked")  # the stub says 501
    with pytest.raises(RefusedError, match="501"):
        load.drive(stub, question, clients=1, seconds=0.1)


def test_streams_are_read_to_their_end(stub):
    found = streams.drive(stub, events=3, clients=2, seconds=0.05)
    assert found.count >= 2
    assert found.first_event > 0


def test_a_server_that_lets_every_token_pass_is_not_measured(stub, tmp_path):
    with pytest.raises(processes.DidNotStartError, match="wrong token"):
        processes.wait_for(stub, Question(), tmp_path / "log")


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="not told by this system")
def test_processor_time_counts_threads_and_children():
    work = "import time\nwhile time.thread_time() < 0.1: pass\n"
    child = f"{work}print(flush=True)\ninput()"
    parent = (
        "import subprocess, sys, threading\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"def burn():\n    exec({work!r})\n    print(flush=True)\n    child.wait()\n"
        "threading.Thread(target=burn).start()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        running.stdout.readline()
        running.stdout.readline()
        taken = processes.processor_time(running.pid)
        running.communicate(b"\n")
    assert 0.2 <= taken.worked <= taken.wanted


def test_ratios_are_of_the_same_round_and_the_right_way_up():
    found = Found()
    for clients in (1, 16, 64):
        for pace in (1, 2):  # the second round at half the machine's speed
            found.direct[clients].append(Load(100, 1.0, 20e-6 * pace))
            ours = Round(10_000 / pace, 60e-6 * pace, 50e-6 * pace, 1.0, clients)
            theirs = Round(20_000 / pace, 45e-6 * pace, 25e-6 * pace, 1.0, 0)
            found.loads["parkmeter", clients].append(ours)
            found.loads["nginx", clients].append(theirs)
    found.streams["parkmeter"].append(StreamRound(300e-6, 900e-6))
    found.streams["nginx"].append(StreamRound(250e-6, 600e-6))
    told = {(claim.subject, claim.figure): claim.values for claim in claims(found)}
    assert told["data plane, 16 clients", "requests/s ÷ nginx"] == [0.5, 0.5]
    assert told["data plane, 64 clients", "CPU a request ÷ nginx, summit"] == [2.0, 2.0]
    assert told["data plane, 16 clients", "CPU a request"] == pytest.approx([50, 100])
    assert told["data plane, 64 clients", "connections opened upstream"] == [64, 64]
    assert told["data plane, 1 client", "added p50, parkmeter"] == pytest.approx([40, 80])
    assert told["data plane, 1 client", "p50 more than nginx's, summit"] == pytest.approx([15, 30])
    streams_of = "data plane, streams of 100 events"
    assert told[streams_of, "CPU a stream ÷ nginx"] == pytest.approx([1.5])
    assert told[streams_of, "first event later than nginx's"] == pytest.approx([50])


def test_a_peer_that_broke_under_load_is_compared_with_nothing():
    found = Found()
    for clients in (1, 16, 64):
        found.direct[clients].append(Load(100, 1.0, 20e-6))
        for name in ("parkmeter", "nginx"):
            found.loads[name, clients].append(Round(10_000, 60e-6, 50e-6, 1.0, 0))
    found.loads["Envoy", 1].append(Round(10_000, 60e-6, 50e-6, 1.0, 0))
    found.broken["Envoy"] = "under load"
    assert not [claim for claim in claims(found) if "Envoy" in claim.figure]


def test_without_processor_time_there_are_still_rates():
    found = Found()
    for clients in (1, 16, 64):
        found.direct[clients].append(Load(100, 1.0, 20e-6))
        for name in ("parkmeter", "nginx"):
            found.loads[name, clients].append(Round(10_000, 60e-6, None, None, 0))
    figures = [claim.figure for claim in claims(found)]
    assert "requests/s ÷ nginx" in figures
    assert not [figure for figure in figures if "CPU" in figure or "core" in figure]
