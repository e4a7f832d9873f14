"""The command `invoke`: send a prompt to a model and print the answer as it arrives."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

from rich.text import Text

from parkmeter.cli.command import Argument, Option
from parkmeter.cli.connection import Exit, gateway, only_endpoint, without_calls, wrong_usage
from parkmeter.cli.options import State, Url, endpoint_names
from parkmeter.cli.output import err, harmless

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Event, NotServingProblem


def invoke(
    first: Annotated[
        str | None,
        Argument(
            metavar="NAME",
            help="Name of the endpoint; optional if there is only one.",
            complete=endpoint_names,
        ),
    ] = None,
    second: Annotated[
        str | None,
        Argument(metavar="PROMPT", help="The prompt; - reads standard input."),
    ] = None,
    *,
    chat: Annotated[bool, Option("--chat", help="Send an OpenAI chat, not text_inputs.")] = False,
    model: Annotated[str | None, Option(help="Model name for --chat.")] = None,
    json_body: Annotated[
        bool, Option("--json-body", help="PROMPT is the whole JSON body.")
    ] = False,
    raw: Annotated[
        bool, Option("--raw --json", help="Print the model's answer unchanged.")
    ] = False,
    wait: Annotated[bool, Option("--wait", help="Wait for an endpoint that is starting.")] = False,
    timeout: Annotated[float, Option(help="Most seconds to wait with --wait.")] = 1800,
    url: Url = None,
    state: State = None,
) -> None:
    """Send a prompt and print the answer.

    It is printed as it arrives. The body is {"text_inputs": PROMPT}, for the shipped model and
    JumpStart's Flan-T5. Use --chat for vLLM, llama.cpp and others whose invocations_path is
    …/chat/completions.
    """
    name, prompt = (None, first) if second is None else (first, second)
    if prompt is None:
        raise wrong_usage("Which prompt? Usage: parkmeter invoke [NAME] PROMPT")
    if prompt == "-":
        prompt = sys.stdin.read()
    body = _body(prompt, chat=chat, model=model, json_body=json_body, raw=raw)
    with gateway(url, state, as_json=raw, name=name) as client:
        name = only_endpoint(client, name)
        seconds = timeout if wait else 0.0
        with err.status("") as spinner:
            spinner.stop()  # until there is a reason to show

            def show(problem: "NotServingProblem") -> None:
                spinner.update(Text(without_calls(problem.detail)))
                spinner.start()

            if raw:
                reply = client.invoke(name, body, wait=seconds, on_wait=show)
                spinner.stop()
                sys.stdout.write(reply.text if reply.text.endswith("\n") else reply.text + "\n")
                return
            with closing(client.stream(name, body, wait=seconds, on_wait=show)) as events:
                ended = "\n"
                for piece in _texts(events):
                    spinner.stop()
                    sys.stdout.write(harmless(piece))
                    sys.stdout.flush()
                    ended = piece or ended
    if not ended.endswith("\n"):
        sys.stdout.write("\n")


def _body(
    prompt: str, *, chat: bool, model: str | None, json_body: bool, raw: bool
) -> dict[str, Any] | str:
    if json_body:
        try:
            json.loads(prompt)
        except ValueError as error:
            raise wrong_usage(f"The body is not valid JSON: {error}.") from None
        return prompt
    if not chat:
        return {"text_inputs": prompt}
    named = {"model": model} if model else {}
    return {**named, "messages": [{"role": "user", "content": prompt}], "stream": not raw}


def _texts(events: Iterator["Event"]) -> Iterator[str]:
    """Yield the text of a stream, in either of the two formats."""
    begun = False
    for event in events:
        if event.event == "error":
            _model_failed(event.data)
        try:
            document = event.json()
        except ValueError:
            # OpenAI's last event, [DONE], is not JSON, nor is an answer in plain text.
            if event.whole:
                yield event.data
            continue
        if _is_error(document) and not event.whole:
            _model_failed(event.data)
        piece = _piece(document)
        if piece is not None:
            begun = True
            yield _printable(piece)
        elif event.whole or not begun:
            yield _printable(_whole(document))


def _printable(text: str) -> str:
    """Return the text with a question mark for half a surrogate pair, which no output takes."""
    return text.encode("utf-8", "replace").decode()


def _piece(document: Any) -> str | None:
    """Return the text of one piece of a stream, or None if it is something else."""
    match document:
        case {"text": str(text)} | {"choices": [{"delta": {"content": str(text)}}, *_]}:
            return text
        case {"choices": [{"delta": dict()}, *_]} | {"choices": []}:
            return ""
        case _:
            return None


def _whole(document: Any) -> str:
    """Return the text of a whole answer, or all of it as JSON if its format is unknown."""
    match document:
        case {"generated_texts": [*texts]} if all(isinstance(text, str) for text in texts):
            return "\n".join(texts)
        case {"generated_text": str(text)}:
            return text
        case {"choices": [{"message": {"content": str(text)}}, *_]}:
            return text
        case {"choices": [{"text": str(text)}, *_]}:
            return text
        case _:
            return json.dumps(document, ensure_ascii=False, indent=2)


def _is_error(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("error"), dict)


def _model_failed(data: str) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = {}
    match document:
        case {"detail": detail} | {"error": {"message": detail}}:
            pass
        case _:
            detail = None
    why = harmless(str(detail or data))
    err.print(Text.assemble(("\nThe model stopped with an error: ", "bold red"), why))
    raise SystemExit(Exit.ERROR)
