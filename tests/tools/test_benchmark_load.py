"""The generators of load count what is answered, and let no failed request pass as a fast one."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import processes, wrk
from benchmarks.clients import RefusedError, ask, closed_loop, request
from benchmarks.peers import NGINX, peer_running
from benchmarks.processes import NotStartedError, free_port, listens, python, running, wait_until
from benchmarks.programs import UnavailableError, from_system
from benchmarks.requests import DIFFERENT_HEADS, Prompt

SAID = """Running 1s test @ http://127.0.0.1:8080/flan
Requests/sec:  51990.12
parkmeter-load {"requests": 52000, "us": 1000190, "p50": 236, "p99": 700, "failed": 0, "refused": 0}
"""


@pytest.fixture(scope="module")
def stub():
    port = free_port()
    with running(python("-m", "benchmarks.stub", port)) as process:
        wait_until(lambda: listens(port), process)
        yield port


def test_figures_of_wrk_are_read():
    assert wrk.read(SAID) == wrk.Load(52000, 1.00019, 0.000236, 0.0007)


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


@pytest.mark.parametrize("differing", [False, True])
def test_wrk_counts_what_is_answered(stub, differing):
    assert shutil.which("wrk"), "wrk is not installed: .ci/run installs it where it is root"
    found = wrk.load(stub, Prompt("/invocations", differing=differing), 3, 0.2)
    assert found.requests > 3
    assert 0 < found.p50 <= found.p99
    assert found.seconds < 20


def test_heads_differ_in_what_tracing_clients_send():
    script = wrk.script(Prompt("/flan", differing=True))
    assert re.findall(r'wrk\.headers\["([a-z-]+)"\] = string', script) == [
        "traceparent",
        "x-request-id",
    ]
    assert str(DIFFERENT_HEADS) in script
    assert "traceparent" not in wrk.script(Prompt("/flan"))


def test_our_own_clients_count_what_is_answered(stub):
    answers = closed_loop(stub, [request("POST", "/invocations", {})] * 3, 0.1)
    assert len(answers) > 3
    assert all(0 < one.first <= one.seconds for one in answers)
    assert b"generated_texts" in answers[0].body


def test_streams_are_read_to_their_end(stub):
    answers = closed_loop(stub, [request("POST", "/events/3", {})] * 2, 0.05)
    assert {one.body.count(b"data:") for one in answers} == {3}
    assert all(one.first < one.seconds for one in answers)


def test_an_answer_that_is_no_success_is_no_measurement(stub):
    message = request("POST", "/invocations", {}, "Transfer-Encoding: chunked")  # the stub: 501
    with pytest.raises(RefusedError, match="501"):
        ask(stub, message)


def test_an_answer_that_is_not_as_wanted_is_no_measurement(stub):
    message = request("POST", "/events/3", {})
    with pytest.raises(RefusedError, match="not as it should be"):
        closed_loop(stub, [message], 0.1, lambda one: one.body.count(b"data:") == 4)


def test_a_program_that_ends_says_why():
    script = "import sys; sys.exit('no port is free')"
    with (
        running(python("-c", script)) as process,
        pytest.raises(NotStartedError, match="no port is free"),
    ):
        wait_until(lambda: False, process)


def test_a_program_that_is_not_installed_is_named():
    with pytest.raises(UnavailableError, match="apt-get install no-such-program"):
        from_system("no-such-program")


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_a_peer_refuses_a_wrong_token_and_forwards_the_rest(stub):
    with peer_running(NGINX, NGINX.find(False), stub) as (_, port):
        token = NGINX.prompt.token
        assert b"generated_texts" in ask(port, request("POST", "/flan", {}, token=token)).body
        with pytest.raises(RefusedError, match="401"):
            ask(port, request("POST", "/flan", {}, token="another"))


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="not told by this system")
def test_processor_time_counts_threads_and_on_request_children():
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
    ) as popen:
        popen.stdout.readline()
        popen.stdout.readline()
        time.sleep(0.01)
        alone, tree = processes.cpu_of(popen.pid), processes.cpu_of(popen.pid, tree=True)
        popen.communicate(b"\n")
    assert alone.total >= 0.1
    assert tree.total >= alone.total + 0.1
