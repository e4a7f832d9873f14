"""The command line as a whole: the commands in the order of the help, and how one is run."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from parkmeter._version import __version__
from parkmeter.cli.command import (
    HELP_FLAGS,
    Chosen,
    Command,
    Group,
    HelpWanted,
    UsageError,
    choose,
    unknown,
)

_ABOUT = """\
Run a parking meter for model endpoints: a GPU endpoint lives only while its meter has time.

`up` runs a gateway on this machine. All other commands call the gateway of PARKMETER_URL and
PARKMETER_TOKEN, or else the one on this machine."""

_EXIT_CODES = (
    "Exit codes: 0 done, 1 error, 2 wrong usage, 3 gateway not reachable, 4 token refused "
    "(401, 403), 5 meter closed (402), 6 endpoint not serving, or not in time, 7 conflict with "
    "another change (409), 130 Ctrl-C."
)


def _print_version() -> None:
    sys.stdout.write(f"parkmeter {__version__}\n")


def _install_completion() -> None:
    from parkmeter.cli import completion

    completion.install()


def _show_completion() -> None:
    from parkmeter.cli import completion

    completion.show()


def _command(module: str, function: str, summary: str) -> Command:
    return Command(f"parkmeter.cli.{module}", function, summary)


app = Group(
    _ABOUT,
    {
        "up": _command("up", "up", "Run the local gateway until Ctrl-C."),
        "status": _command("meters", "status", "Show each endpoint's status and time left."),
        "top-up": _command("meters", "top_up", "Add minutes to a meter."),
        "eject": _command("meters", "eject", "Stop an endpoint now."),
        "invoke": _command("prompts", "invoke", "Send a prompt and print the answer."),
        "journal": _command("history", "journal", "Show who changed what, when and why."),
        "receipt": _command("history", "receipt", "Show the hours on and their cost."),
        "usage": _command(
            "history", "usage", "Show the model's tokens that answers used, by who asked."
        ),
        "logs": _command("history", "logs", "Show the output of an endpoint's server."),
        "audit": _command(
            "tokens",
            "audit",
            "Show who issued, rotated and revoked tokens, ejected endpoints and reloaded the "
            "gateway.",
        ),
        "reload": _command("local", "reload", "Apply a changed parkmeter.toml."),
        "doctor": _command(
            "local",
            "doctor",
            "Check all that a local gateway depends on, or a deployment on AWS.",
        ),
        "backup": _command(
            "backup", "backup", "Back up the store; a running gateway is not disturbed."
        ),
        "restore": _command(
            "backup",
            "restore",
            "Replace the store by a backup. Refused while a gateway is running in the folder.",
        ),
        "token": Group(
            "Create, list, rotate and revoke tokens.",
            {
                "create": _command("tokens", "create", "Create a token and print it once."),
                "list": _command(
                    "tokens", "list_tokens", "List all tokens, without their secrets."
                ),
                "rotate": _command(
                    "tokens",
                    "rotate",
                    "Give a token a new secret and print it once; the old one stops working at "
                    "once.",
                ),
                "revoke": _command("tokens", "revoke", "Revoke a token at once."),
            },
        ),
        "config": Group(
            "Check parkmeter.toml, or print its schema.",
            {
                "check": _command("local", "check", "Show a file's settings or its mistakes."),
                "schema": _command("local", "schema", "Print the JSON schema, for editors."),
            },
        ),
        "links": Group(
            "Manage the links in warnings.",
            {
                "rotate": _command(
                    "backup",
                    "rotate_links",
                    "Replace the secret that signs the links in warnings; links already sent stop "
                    "working.",
                ),
            },
        ),
    },
    flags={
        "--version": ("Print the version.", _print_version),
        "--install-completion": (
            "Install completion for the shell in $SHELL.",
            _install_completion,
        ),
        "--show-completion": ("Print the completion script of that shell.", _show_completion),
    },
    # By letters alone, `stop` is most like `top-up`, which does the opposite.
    meant={
        "stop": "eject",
        "kill": "eject",
        "start": "top-up",
        "add": "top-up",
        "extend": "top-up",
        "list": "status",
        "ls": "status",
        "ps": "status",
        "run": "up",
        "serve": "up",
    },
    epilog=_EXIT_CODES,
)


def run(words: Sequence[str]) -> None:
    """Run the command that the words choose; `SystemExit` has its exit code, if it is not 0."""
    chosen = choose("parkmeter", app, words)
    try:
        if isinstance(chosen.node, Group):
            _run_group(chosen, chosen.node)
        else:
            chosen.node.run(**chosen.node.parse(chosen.words))
    except HelpWanted:
        _print_help(chosen)
    except UsageError as error:
        from parkmeter.cli.connection import wrong_usage

        raise wrong_usage(str(error), f"{' '.join(chosen.path)} --help") from None


def main() -> None:
    """Run the `parkmeter` command."""
    try:
        if os.environ.get("_PARKMETER_COMPLETE"):
            from parkmeter.cli import completion

            completion.answer(app, os.environ)
        run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader, such as `head`, has enough. What is still buffered has no place to go.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run_group(chosen: Chosen, group: Group) -> None:
    if not chosen.words:
        _print_help(chosen)
        sys.exit(2)
    word = chosen.words[0]
    if word in HELP_FLAGS:
        raise HelpWanted
    if word in group.flags:
        _, act = group.flags[word]
        act()
    elif word.startswith("-"):
        unknown("option", word, group.flags)
    else:
        unknown("command", word, group.commands, group.meant)


def _print_help(chosen: Chosen) -> None:
    from parkmeter.cli.help import as_text, page_of, terminal_columns

    environment = os.environ
    colours = bool(environment.get("FORCE_COLOR")) or (
        sys.stdout.isatty() and environment.get("TERM") != "dumb"
    )
    colours = colours and not environment.get("NO_COLOR")
    page = page_of(chosen.path, chosen.node)
    sys.stdout.write(as_text(page, terminal_columns(), colours=colours))
