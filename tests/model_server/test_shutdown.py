"""SIGTERM and SIGINT: an exit at once when idle, else after the answers in flight."""

import json
import signal
import time

import pytest

from tests.support.model_server_process import ServerProcess
from tests.support.tiny_t5 import PROMPTS

LONG = {"text_inputs": PROMPTS[0], "max_length": 2048}


@pytest.fixture
def own(converted):
    with ServerProcess("--model", str(converted)) as server:
        yield server


def seconds_to_leave(server: ServerProcess, number: signal.Signals = signal.SIGTERM) -> float:
    began = time.perf_counter()
    server.process.send_signal(number)
    assert server.process.wait(10) == 0
    return time.perf_counter() - began


def ping_until_refused(server: ServerProcess) -> None:
    """Wait a moment: the signal reaches the other process with a delay."""
    for _ in range(1000):
        server.request("GET", "/ping")


def test_an_idle_server_is_gone_at_once(converted):
    taken = []
    for _ in range(8):
        with ServerProcess("--model", str(converted)) as server:
            # A connection that is kept open does not delay the exit.
            idle = server.connect()
            idle.request("GET", "/ping")
            idle.getresponse().read()
            taken.append(seconds_to_leave(server))
            idle.close()
        # Some 10 ms by itself; uvicorn's own shutdown takes 200 at least. One try must be well
        # below that, because the tests share their machine.
        if taken[-1] < 0.1:
            return
    raise AssertionError(taken)


def test_ctrl_c_ends_it_too(own):
    assert seconds_to_leave(own, signal.SIGINT) < 1


def test_answers_that_are_due_are_finished_first(own):
    streamed = own.connect()
    streamed.request("POST", "/invocations", json.dumps(LONG), {"accept": "text/event-stream"})
    response = streamed.getresponse()
    beginning = response.read(5)
    own.process.send_signal(signal.SIGTERM)
    *_, last = (beginning + response.read()).decode().split("\n\n")[:-1]
    assert len(json.loads(last.removeprefix("data: "))["generated_texts"]) == 1
    assert own.process.wait(5) == 0
    streamed.close()


def test_nothing_new_is_accepted_meanwhile(own):
    streamed = own.connect()
    streamed.request("POST", "/invocations", json.dumps(LONG), {"accept": "text/event-stream"})
    response = streamed.getresponse()
    response.read(5)
    own.process.send_signal(signal.SIGTERM)
    with pytest.raises(ConnectionError):
        ping_until_refused(own)
    response.read()
    assert own.process.wait(5) == 0
    streamed.close()


def test_a_second_signal_changes_nothing(own):
    connection = own.connect()
    connection.request("POST", "/invocations", json.dumps(LONG))
    time.sleep(0.05)
    own.process.send_signal(signal.SIGTERM)
    own.process.send_signal(signal.SIGTERM)
    assert connection.getresponse().status == 200
    assert own.process.wait(5) == 0
    connection.close()
