"""The command `invoke`: a prompt to a model, and what it says as it says it."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from parkmeter.cli.connection import Exit, for_people, gateway, only_endpoint, wrong_usage
from parkmeter.cli.options import State, Url, endpoint_names
from parkmeter.cli.output import err

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Event, NotServingProblem


def invoke(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of the endpoint; may be left out if there is one only.",
            autocompletion=endpoint_names,
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="What to say; - reads it.", show_default=False),
    ] = None,
    *,
    chat: Annotated[
        bool, typer.Option("--chat", help="Send it as an OpenAI chat, not as text_inputs.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="The model that --chat names.", show_default=False)
    ] = None,
    json_body: Annotated[
        bool, typer.Option("--json-body", help="PROMPT is the whole JSON body; sent as it is.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", "--json", help="Print the model's own answer, whole.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for an endpoint that is on its way.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that --wait waits at most.")] = 1800,
    url: Url = None,
    state: State = None,
) -> None:
    """Send a prompt, print the answer.

    It is printed as it comes. The body is {"text_inputs": PROMPT}, as the shipped model and
    JumpStart's Flan-T5 take it. For vLLM, llama.cpp and others whose invocations_path is
    …/chat/completions use --chat.
    """
    name, prompt = (None, first) if second is None else (first, second)
    if prompt is None:
        raise wrong_usage("There is no prompt. Usage: parkmeter invoke [NAME] PROMPT")
    if prompt == "-":
        prompt = sys.stdin.read()
    body = _body(prompt, chat=chat, model=model, json_body=json_body, raw=raw)
    with gateway(url, state, as_json=raw, name=name) as client:
        name = only_endpoint(client, name)
        seconds = timeout if wait else 0.0
        with err.status("") as spinner:
            # Nothing is worth a spinner yet; it turns when there is a reason to tell.
            spinner.stop()

            def tell(problem: "NotServingProblem") -> None:
                spinner.update(Text(for_people(problem.detail)))
                spinner.start()

            if raw:
                reply = client.invoke(name, body, wait=seconds, on_wait=tell)
                spinner.stop()
                sys.stdout.write(reply.text if reply.text.endswith("\n") else reply.text + "\n")
                return
            with closing(client.stream(name, body, wait=seconds, on_wait=tell)) as events:
                ended = "\n"
                for piece in _said(events):
                    spinner.stop()
                    sys.stdout.write(piece)
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
            raise wrong_usage(f"The body is no JSON: {error}.") from None
        return prompt
    if not chat:
        return {"text_inputs": prompt}
    named = {"model": model} if model else {}
    return {**named, "messages": [{"role": "user", "content": prompt}], "stream": not raw}


def _said(events: Iterator["Event"]) -> Iterator[str]:
    """The text in a stream, whichever of the two contracts it speaks."""
    begun = False
    for event in events:
        if event.event == "error":
            _model_failed(event.data)
        try:
            document = event.json()
        except ValueError:
            # OpenAI's last word is no JSON; a model that answers in plain text has no other.
            if event.whole:
                yield event.data
            continue
        piece = _piece(document)
        if piece is not None:
            begun = True
            yield piece
        elif event.whole or not begun:
            yield _whole(document)


def _piece(document: Any) -> str | None:
    """A piece of a stream's text; None if it is none."""
    match document:
        case {"text": str(text)} | {"choices": [{"delta": {"content": str(text)}}, *_]}:
            return text
        case {"choices": [{"delta": dict()}, *_]} | {"choices": []}:
            return ""
        case _:
            return None


def _whole(document: Any) -> str:
    """The text of a whole answer; where nobody knows which part that is, all of it."""
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


def _model_failed(data: str) -> None:
    try:
        document = json.loads(data)
    except ValueError:
        document = {}
    said = document.get("detail") if isinstance(document, dict) else None
    err.print(Text.assemble(("\nThe model broke off: ", "bold red"), str(said or data)))
    raise typer.Exit(Exit.ERROR)
