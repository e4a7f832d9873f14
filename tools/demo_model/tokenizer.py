"""The byte-level BPE tokenizer, in the layout of the tokenizer.json of a Flan-T5."""

from collections.abc import Iterator
from itertools import islice

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tools.demo_model.grammar import STRAYED, training_samples
from tools.demo_model.lexicon import ANIMALS, PEOPLE, PLACES, WORDS

# Large enough for nearly every noun to be one token, which is easy to copy.
VOCABULARY_SIZE = 2304
PAD, EOS, UNK = "<pad>", "</s>", "<unk>"
PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
_SAMPLES = 40_000
# Each noun weighs as much as a common word; otherwise rare nouns split into many tokens.
_NOUN_WEIGHT = 200


def _texts(seed: int) -> Iterator[str]:
    for sample in islice(training_samples(seed, left_out=(STRAYED,)), _SAMPLES):
        yield sample.prompt
        yield sample.target
    nouns = [item.name for item in (*ANIMALS, *PEOPLE, *PLACES)]
    nouns += [*WORDS.things, *WORDS.topics, *WORDS.names]
    for noun in nouns:
        yield f" {noun}" * _NOUN_WEIGHT


def train_tokenizer(seed: int) -> Tokenizer:
    """Return a trained tokenizer that ends every prompt with </s>, as T5 expects."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNK))
    # A word is the same token at the start and in the middle of a text; decoding strips the
    # blank that this puts before the first word.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    tokenizer.train_from_iterator(
        _texts(seed),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY_SIZE,
            special_tokens=[PAD, EOS, UNK],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A {EOS} $B {EOS}", special_tokens=[(EOS, EOS_ID)]
    )
    return tokenizer
