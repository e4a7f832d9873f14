"""The application with an engine that fails, and with clients that disconnect."""

import asyncio
import json
from collections.abc import Callable

from parkmeter.model_server.app import App
from parkmeter.model_server.batch_queue import Job, Text

PAYLOAD = {"text_inputs": "hello"}


class ScriptedEngine:
    """Runs a script on every job."""

    def __init__(self, script: Callable[[Job], None]) -> None:
        self.script = script
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        asyncio.get_running_loop().call_soon(self.script, job)


def answer(script: Callable[[Job], None], accept: str, *, leaves: bool = False):
    """Run one request to its end; return the engine and what was sent."""
    engine = ScriptedEngine(script)
    sent: list[dict] = []

    async def run() -> None:
        incoming = [{"type": "http.request", "body": json.dumps(PAYLOAD).encode()}]

        async def receive() -> dict:
            if incoming:
                return incoming.pop()
            if not leaves:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: dict) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/invocations",
            "headers": [(b"accept", accept.encode())],
        }
        await asyncio.wait_for(App(engine)(scope, receive, send), 5)

    asyncio.run(run())
    return engine, sent


def piece_then_failure(job: Job) -> None:
    job.on_piece(0, "once upon")
    job.on_done(RuntimeError("out of memory"))


def failure(job: Job) -> None:
    job.on_done(RuntimeError("out of memory"))


def test_an_error_in_the_middle_of_a_stream_is_an_event():
    _, sent = answer(piece_then_failure, "text/event-stream")
    assert sent[0]["status"] == 200
    text = b"".join(message.get("body", b"") for message in sent).decode()
    piece, error = text.split("\n\n")[:-1]
    assert piece == 'data: {"text":"once upon"}'
    kind, data = error.split("\n")
    assert kind == "event: error"
    assert json.loads(data.removeprefix("data: "))["code"] == "generation_failed"
    assert not sent[-1].get("more_body")


def test_an_error_before_the_stream_begins_is_a_status():
    _, sent = answer(failure, "text/event-stream")
    assert sent[0]["status"] == 500


def test_a_failing_model_is_a_500_that_keeps_its_reasons_to_itself():
    _, sent = answer(failure, "application/json")
    assert sent[0]["status"] == 500
    assert b"out of memory" not in sent[1]["body"]


def test_a_client_that_leaves_cancels_its_request():
    for accept in ("application/json", "text/event-stream"):
        engine, sent = answer(lambda _job: None, accept, leaves=True)
        assert engine.jobs[0].cancelled
        assert sent == []


def test_an_answer_in_time_is_not_a_cancelled_request():
    text = Text("once upon a time", prompt_tokens=2, tokens=4, finish="stop")
    engine, sent = answer(lambda job: job.on_done([text]), "application/json")
    assert not engine.jobs[0].cancelled
    assert json.loads(sent[1]["body"]) == {"generated_texts": ["once upon a time"]}
