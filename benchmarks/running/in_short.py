"""The figures that most people ask for, in their words: a short table before the whole. Pure."""

from collections.abc import Iterable

ASKED = (
    ("An endpoint lives on after its close", "50 fakes, gateway", "life past the close, median"),
    ("… at most, of 50", "50 fakes, gateway", "life past the close, max"),
    (
        "… at most, with the gateway killed -9",
        "20 processes, gateway killed -9",
        "life past the close, max",
    ),
    (
        "… on AWS the last of 1,000 that end within a minute",
        "all end within the minute",
        "last stop after them",
    ),
    ("From a top-up to the start, 99 of 100", "50 fakes, gateway", "top-up to start call, p99"),
    (
        "… while 8 clients top up without a pause",
        "50 fakes, gateway, 8 clients top up",
        "top-up to start call, p99",
    ),
    ("`parkmeter up` to the first generated text", "parkmeter up", "to the first generated text"),
    ("Prompts a second against nginx's", "data plane, 16 clients", "requests/s ÷ nginx"),
    ("… against Envoy's", "data plane, 16 clients", "requests/s ÷ Envoy"),
    ("… against LiteLLM's", "data plane, 16 clients", "requests/s ÷ LiteLLM"),
    ("Processor time of a prompt", "data plane, 16 clients", "CPU a request"),
    ("The embedded model's answers", "model server, 32 clients", "answers a core"),
    (
        "A tick with 10,000 meters against one with 10",
        "tick of 10, 10,000 meters, SQLite",
        "time of 10 meters",
    ),
    (
        "First answer of the inference Lambda against a bare one",
        "Lambda start, inference",
        "first answer ÷ bare",
    ),
)
"""What is asked, and the subject and the figure of the claim that answers it."""

HEAD = ("what", "median", "target", "")


def in_short(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows for `HEAD` out of the whole table's (`results.HEAD`); what is not there is left out."""
    found = {row[:2]: row for row in rows}
    answers = ((what, found.get((subject, figure))) for what, subject, figure in ASKED)
    return [(what, row[2], *row[4:]) for what, row in answers if row is not None]
