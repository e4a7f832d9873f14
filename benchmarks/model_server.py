"""The embedded model server: speed, cost and correctness of its answers.

The server runs as its own process and is asked over HTTP from this one; on Linux the two are pinned
to different cores. "A core" is a second of the server's own processor time (user and system): cores
are shared on most machines, and what others take of one is not the server's doing. Every round has
every load in it. Texts are greedy, 30 tokens, unless the line says otherwise.

Two sides to compare with, in the same rounds: the engine alone (decoding batches in this process:
the rest is what HTTP, the line and smaller batches cost), and on the server's core Hugging Face's
`generate` on torch with one thread and the same weights, one prompt at a time and in batches of 32,
its best case. "Same text" is the share of the demo model's own kind of prompts that both
answer alike: all of them, converted and served in float32; as shipped the engine calculates in 8
bits, and where two words are about as good the other one may win.

Profiled: nine tenths of an answer are the engine's matrices. With 32 clients one worker used to
take what it found and leave the other single requests; sharing what is there gave 1.4 times the
answers on two cores. Keeping freed memory spares some 30 page faults an answer: 5 to 10 %.

    python -m benchmarks.model_server [--smoke] [--rounds 7] [--seconds 1.0] [--json FILE]
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from benchmarks import report
from benchmarks.model import folder, hugging_face, served
from benchmarks.model.hugging_face import HuggingFace, NotHadError, Speed
from benchmarks.model.served import EVENTS, Load, Round, Server
from benchmarks.report import Bound, Claim, Effort, Missing, Row, Version
from parkmeter.model_server.conversion import convert
from parkmeter.model_server.decoding import Decoding
from parkmeter.model_server.model import Model
from parkmeter.model_server.sources import DEMO

SMOKE = Effort(rounds=1, seconds=0.2)
PROMPT = "Write a story about beautiful weather on a tropical island."
GREEDY = {"text_inputs": PROMPT, "max_length": 31}
BATCH = 32
FIRST_PIECES = 20
COMPARED_PROMPTS = Path(__file__).parent / "model" / "prompts.txt"
SUBJECT = "model server"

ONE = Load("1 client", 1, GREEDY)
MANY = Load("32 clients", BATCH, GREEDY)
STREAMED = Load("streamed, idle", 1, GREEDY, EVENTS)
OTHERS = [
    Load("8 clients", 8, GREEDY),
    Load("sampled, 32 clients", BATCH, {**GREEDY, "temperature": 0.8}),
    Load("seeded, 8 clients", 8, {**GREEDY, "temperature": 0.8, "seed": 7}),
    Load("streamed, 32 clients", BATCH, GREEDY, EVENTS),
]


def measure(effort: Effort) -> Iterator[Row]:
    """Measure the server by itself, then beside the engine alone and beside Hugging Face."""
    yield Version("ctranslate2", version("ctranslate2"))
    engine = Model(DEMO, workers=1)
    with ExitStack() as stack:
        server = stack.enter_context(served.running(DEMO))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peer = None
        if effort == SMOKE:
            yield Missing("Hugging Face", "the shortest form installs nothing")
        else:
            try:
                folder.write(DEMO, scratch / "weights")
                peer = stack.enter_context(hugging_face.running(scratch / "weights"))
            except NotHadError as why:
                yield Missing("Hugging Face", str(why))
        if peer is not None:
            yield Version("torch", peer.torch)
            yield Version("transformers", peer.transformers)
            yield from _same_texts(server, peer, scratch)
        served.pin(server.pid, *([peer.pid] if peer else []))
        server.wave(MANY, 0.5)
        _engine_alone(engine, 0.1)
        yield from _measured(effort, server, engine, peer)


def _measured(
    effort: Effort, server: Server, engine: Model, peer: HuggingFace | None
) -> Iterator[Row]:
    one, many = list[Round](), list[Round]()
    others: dict[str, list[Round]] = {load.name: [] for load in OTHERS}
    firsts, alone = list[float](), list[float]()
    singly, in_batches = list[Speed](), list[Speed]()
    for _ in range(effort.rounds):
        one.append(server.wave(ONE, effort.seconds))
        if peer is not None:
            singly.append(peer.speed(PROMPT, 1, effort.seconds))
        alone.append(_engine_alone(engine, effort.seconds / 2))
        many.append(server.wave(MANY, effort.seconds))
        if peer is not None:
            in_batches.append(peer.speed(PROMPT, BATCH, effort.seconds))
        firsts += [1000 * server.first_piece_seconds(STREAMED) for _ in range(FIRST_PIECES)]
        for load in OTHERS:
            others[load.name].append(server.wave(load, effort.seconds))
    yield _per_core(MANY, many, Bound.AT_LEAST, 600)
    yield _claim(
        MANY, "p99 / p50", [each.percentile(0.99) / each.percentile(0.5) for each in many], 4
    )
    yield _claim(STREAMED, "first piece", firsts, 10, unit="ms")
    yield from _against(ONE, one, "Hugging Face", singly)
    yield from _against(MANY, many, "Hugging Face in batches", in_batches)
    shares = [each.per_core / bare for each, bare in zip(many, alone, strict=True)]
    yield Claim(f"{SUBJECT}, {MANY.name}", "of the engine alone", shares)
    yield Claim("the engine alone, batches of 32", "answers a core", alone, "/s")
    for load, rounds in ((ONE, one), (MANY, many)):
        latencies = [1000 * each.percentile(0.5) for each in rounds]
        yield Claim(f"{SUBJECT}, {load.name}", "p50", latencies, "ms")
    yield _per_core(ONE, one)
    for load in OTHERS:
        yield _per_core(load, others[load.name])
    busy = [each.clients_cpu / each.elapsed for each in many]
    yield Claim("the clients' core, 32 clients", "busy", busy)


def _engine_alone(engine: Model, seconds: float) -> float:
    """Texts a second of one core that the engine decodes in batches, without a server around."""
    rows = engine.encode([PROMPT] * BATCH)
    texts = 0
    began, cpu = time.perf_counter(), time.process_time()
    while not texts or time.perf_counter() - began < seconds:
        texts += len(engine.generate(rows, Decoding(max_new_tokens=30)))
    return texts / (time.process_time() - cpu)


def _same_texts(shipped: Server, peer: HuggingFace, scratch: Path) -> Iterator[Claim]:
    """Return whether the server, its conversion included, answers as Hugging Face does."""
    prompts = COMPARED_PROMPTS.read_text(encoding="utf-8").splitlines()
    theirs = peer.texts(prompts)
    convert(scratch / "weights", scratch / "float32", "float32")
    with served.running(scratch / "float32") as exact:
        same = _same(_answers(exact, prompts), theirs)
    yield Claim(f"{SUBJECT}, float32", "same text", [same], "", Bound.AT_LEAST, 0.99)
    same = _same(_answers(shipped, prompts), theirs)
    yield Claim(f"{SUBJECT}, 8 bits as shipped", "same text", [same])


def _answers(server: Server, prompts: Sequence[str]) -> list[str]:
    loads = (Load("compared", 1, {**GREEDY, "text_inputs": prompt}) for prompt in prompts)
    return [server.texts(load)[0] for load in loads]


def _same(ours: Sequence[str], theirs: Sequence[str]) -> float:
    return sum(one == other for one, other in zip(ours, theirs, strict=True)) / len(ours)


def _per_core(
    load: Load, rounds: Sequence[Round], bound: Bound | None = None, target: float = 0.0
) -> Claim:
    figures = [each.per_core for each in rounds]
    return Claim(f"{SUBJECT}, {load.name}", "answers a core", figures, "/s", bound, target)


def _claim(load: Load, figure: str, values: Sequence[float], most: float, unit: str = "") -> Claim:
    return Claim(f"{SUBJECT}, {load.name}", figure, values, unit, Bound.AT_MOST, most)


def _against(
    load: Load, rounds: Sequence[Round], name: str, speeds: Sequence[Speed]
) -> Iterator[Claim]:
    """Their answers a core, and ours as a multiple of it; nothing when they are not there."""
    if not speeds:
        return
    theirs = [each.answers / each.cpu_seconds for each in speeds]
    times = [each.per_core / their for each, their in zip(rounds, theirs, strict=True)]
    subject = f"{SUBJECT}, {load.name}"
    yield Claim(subject, f"times {name}", times, "", Bound.AT_LEAST, 1)
    yield Claim(name, "answers a core", theirs, "/s")


if __name__ == "__main__":
    report.main(__doc__, measure, full=Effort(rounds=7, seconds=1.0), smoke=SMOKE)
