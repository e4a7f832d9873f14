"""The engine on a real (tiny, random) model: batches, seeds, limits, clients that disconnect."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from parkmeter.model_server import engine as engine_module
from parkmeter.model_server.batch_queue import Job, QueueFullError, Text
from parkmeter.model_server.decoding import plan
from parkmeter.model_server.engine import Engine, PromptTooLongError
from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.model import Model
from parkmeter.model_server.payload import Payload
from parkmeter.model_server.tokenizer import REPLACEMENT
from tests.support.tiny_t5 import PROMPTS, SENTENCES


class Asker:
    """Calls the engine from any thread and waits for the answer."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(Model(folder, workers=2), post=lambda call, *given: call(*given))
        self.engine.start()

    def ask(self, prompts: str | list[str], **parameters: object) -> list[Text]:
        answered = threading.Event()
        outcomes: list = []

        def done(outcome):
            outcomes.append(outcome)
            answered.set()

        texts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
        self.engine.submit(Job(plan(Payload(texts, **parameters)), on_done=done))
        assert answered.wait(30)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    def texts(self, prompts: str | list[str], **parameters: object) -> list[str]:
        return [text.text for text in self.ask(prompts, **parameters)]


@pytest.fixture(scope="module")
def asker(converted):
    return Asker(converted)


def test_greedy_text_is_the_same_alone_and_in_a_batch(asker):
    alone = [asker.texts(prompt, max_length=20)[0] for prompt in PROMPTS]
    assert len(set(alone)) == len(PROMPTS)
    assert asker.texts(PROMPTS, max_length=20) == alone
    with ThreadPoolExecutor(16) as clients:
        together = list(clients.map(lambda prompt: asker.texts(prompt, max_length=20)[0], PROMPTS))
    assert together == alone


def test_temperature_zero_is_greedy(asker):
    greedy = asker.texts(PROMPTS[0], max_length=20)
    assert asker.texts(PROMPTS[0], max_length=20, temperature=0.0, seed=9) == greedy
    assert asker.texts(PROMPTS[0], max_length=20, temperature=0.0, do_sample=True) == greedy
    assert asker.texts(PROMPTS[0], max_length=20, do_sample=True, top_k=1) == greedy
    assert asker.texts(PROMPTS[0], max_length=20, do_sample=True, top_p=0.0) == greedy


def test_a_seed_repeats_its_text_whatever_runs_beside_it(asker):
    def seeded(seed: int) -> list[str]:
        return asker.texts(PROMPTS[1], max_length=20, temperature=1.0, seed=seed)

    alone = {seed: seeded(seed) for seed in (1, 2)}
    assert alone[1] != alone[2]
    with ThreadPoolExecutor(12) as clients:
        beside = [
            clients.submit(asker.texts, prompt, max_length=30, temperature=1.0)
            for prompt in PROMPTS
        ]
        again = [(seed, clients.submit(seeded, seed)) for seed in (1, 2) * 8]
        assert all(text.result() == alone[seed] for seed, text in again)
        assert all(text.result() for text in beside)


def test_a_seed_does_not_reach_those_without_one(converted):
    fresh = Asker(converted)
    seeded = fresh.texts(PROMPTS[1], max_length=20, temperature=1.0, seed=5)
    others = {tuple(fresh.texts(PROMPTS[1], max_length=20, temperature=1.0)) for _ in range(6)}
    assert tuple(seeded) not in others
    assert len(others) == 6


def test_two_engines_draw_different_texts_without_a_seed(converted):
    one, other = (Asker(converted).texts(PROMPTS[0], max_length=30, temperature=1.0) for _ in "ab")
    assert one != other


def test_a_seed_covers_all_texts_of_its_request(asker):
    request = {"max_length": 10, "temperature": 1.0, "num_return_sequences": 5, "seed": 3}
    drawn = asker.texts(PROMPTS[:9], **request)
    assert len(drawn) == 45
    assert len(set(drawn)) > 40
    assert asker.texts(PROMPTS[:9], **request) == drawn


def test_a_seeded_request_of_several_batches_does_not_repeat_itself(asker):
    drawn = asker.texts([PROMPTS[0]] * 80, max_length=20, temperature=1.0, seed=3)
    assert len(set(drawn)) == 80


def test_the_texts_of_one_prompt_lie_together(asker):
    found = asker.texts(PROMPTS[:2], max_length=12, num_return_sequences=3)
    assert found[:3] == asker.texts(PROMPTS[0], max_length=12, num_return_sequences=3)
    assert found[3:] == asker.texts(PROMPTS[1], max_length=12, num_return_sequences=3)
    assert len(set(found)) == 6


def test_beams_find_a_more_probable_text_than_greedy(asker):
    model = asker.engine._model
    scores = {}
    for beams in (1, 8):
        decoding = plan(Payload(("",), max_length=12, num_beams=beams)).decoding
        prompts = model.encode(PROMPTS[:6])
        found = model.generate(prompts, decoding, with_scores=True)
        scores[beams] = sum(texts[0].score for texts in found)
    assert scores[8] > scores[1]


def test_the_best_of_several_samples_is_returned(asker):
    request = {"max_length": 8, "do_sample": True, "seed": 4}
    every = asker.texts(PROMPTS[0], num_return_sequences=6, **request)
    best = asker.texts(PROMPTS[0], num_return_sequences=2, num_beams=6, **request)
    assert len(best) == 2
    assert set(best) <= set(every)


def test_no_ngram_is_repeated_where_that_is_forbidden(asker):
    model = asker.engine._model
    decoding = plan(Payload(("",), max_length=100, no_repeat_ngram_size=2)).decoding
    ((text,),) = model.generate(model.encode(PROMPTS[:1]), decoding)
    pairs = list(zip(text.tokens, text.tokens[1:], strict=False))
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 1e-300},
        {"temperature": 1e300},
        {"do_sample": True, "top_k": 10**9},
        {"do_sample": True, "top_k": 0},
        {"do_sample": True, "top_p": 1e-9},
        {"do_sample": True, "top_p": 1.0, "num_beams": 32, "num_return_sequences": 32},
        {"num_beams": 32, "num_return_sequences": 32},
        {"no_repeat_ngram_size": 10**6},
        {"max_length": 1},
        {"max_time": 1e12},
        {"early_stopping": True, "num_beams": 4},
    ],
)
def test_the_extremes_of_every_parameter_give_texts(asker, parameters):
    found = asker.ask(PROMPTS[0], **{"max_length": 6, **parameters})
    assert len(found) == parameters.get("num_return_sequences", 1)
    assert all(text.tokens <= 5 for text in found)


def test_why_a_text_ended_is_said(asker, terse):
    ended = {text.finish for text in Asker(terse).ask(PROMPTS, max_length=20)}
    assert ended == {"stop", "length"}
    assert all(text.tokens == 4 for text in asker.ask(PROMPTS[:3], max_length=5))


@pytest.mark.parametrize("beams", [1, 4])
def test_max_time_returns_what_there_is_so_far(asker, beams):
    long = 600 if beams == 1 else 200
    untimed = asker.ask(PROMPTS[:4], max_length=long, num_beams=beams)
    endless = [index for index, text in enumerate(untimed) if text.finish == "length"]
    assert endless
    found = asker.ask(PROMPTS[:4], max_length=long, num_beams=beams, max_time=0.02)
    for index in endless:
        assert 0 < found[index].tokens < untimed[index].tokens
        assert found[index].finish == "time"
    if beams == 1:
        # The time may end in the middle of a character.
        so_far = found[endless[0]].text.rstrip(REPLACEMENT)
        assert untimed[endless[0]].text.startswith(so_far)


def test_a_prompt_of_too_many_tokens_is_refused_by_its_number(asker):
    with pytest.raises(PromptTooLongError) as refused:
        asker.ask(["hello", "x " * 3000])
    assert refused.value.index == 1
    assert refused.value.tokens > engine_module.MAX_PROMPT_TOKENS


def test_a_long_prompt_is_read_to_its_end(asker):
    long = " ".join(SENTENCES * 9)
    assert 1000 < asker.ask(long)[0].prompt_tokens < engine_module.MAX_PROMPT_TOKENS
    assert asker.texts(f"{long} {SENTENCES[0]}") != asker.texts(f"{long} {SENTENCES[1]}")


def test_a_failing_model_fails_its_own_requests_only(asker, monkeypatch, capsys):
    model = asker.engine._model
    works = model.generate
    monkeypatch.setattr(model, "generate", lambda *_rows, **_options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        asker.ask(PROMPTS[0])
    monkeypatch.setattr(model, "generate", works)
    assert asker.texts(PROMPTS[0])
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_model_that_loads_but_does_not_run_is_refused(converted, monkeypatch):
    model = Model(converted, workers=2)
    monkeypatch.setattr(model, "encode", lambda _prompts: 1 / 0)
    with pytest.raises(CannotLoadError, match="cannot run it: division by zero"):
        Engine(model, post=lambda call, *given: call(*given)).start()


def test_generation_ends_when_its_reader_has_left(asker):
    pieces: list[str] = []
    ended = threading.Event()

    def on_piece(_index: int, piece: str) -> None:
        pieces.append(piece)
        job.cancelled = True

    payload = Payload((PROMPTS[0],), max_length=2000, do_sample=True, num_return_sequences=32)
    job = Job(plan(payload), on_done=lambda _outcome: ended.set(), on_piece=on_piece)
    asker.engine.submit(job)
    assert ended.wait(5)
    assert len(pieces) == 1


def test_more_than_can_wait_is_refused_with_a_time_to_come_back(converted):
    small = Engine(Model(converted, workers=2), post=lambda call, *given: call(*given), capacity=4)
    # Not started: all requests wait.
    for _ in range(4):
        small.submit(Job(plan(Payload(("a",))), on_done=lambda _outcome: None))
    with pytest.raises(QueueFullError):
        small.submit(Job(plan(Payload(("a",))), on_done=lambda _outcome: None))
    assert 1 <= small.retry_seconds() <= engine_module.MAX_RETRY_SECONDS
