"""Text from tokens that arrive one by one."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models

from parkmeter.model_server.tokenizer import TextStream
from tests.support.tiny_t5 import SENTENCES, train_tokenizer


def pieces_of(tokenizer: Tokenizer, tokens: list[int]) -> list[str]:
    stream = TextStream(tokenizer.decode)
    return [stream.add(token) for token in tokens]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_pieces_add_up_to_the_text(sentence):
    tokenizer = train_tokenizer()
    assert "".join(pieces_of(tokenizer, tokenizer.encode(sentence).ids)) == sentence


def test_a_character_of_several_tokens_comes_whole():
    tokenizer = train_tokenizer()
    pieces = pieces_of(tokenizer, tokenizer.encode("🦊🦊").ids)
    assert set(pieces) == {"", "🦊"}
    assert "".join(pieces) == "🦊🦊"


def test_whatever_a_model_says_the_pieces_are_the_beginning_of_its_text():
    tokenizer = train_tokenizer()
    chance = random.Random(1)
    for _ in range(200):
        tokens = [chance.randrange(tokenizer.get_vocab_size()) for _ in range(40)]
        assert tokenizer.decode(tokens).startswith("".join(pieces_of(tokenizer, tokens)))


def test_words_of_a_sentencepiece_tokenizer_keep_their_spaces():
    vocabulary = [("<unk>", 0.0), ("▁the", -1.0), ("▁sea", -1.0), ("s", -1.0), ("▁", -2.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    tokenizer.decoder = decoders.Metaspace()
    assert pieces_of(tokenizer, [1, 2, 3, 1]) == ["the", " sea", "s", " the"]
