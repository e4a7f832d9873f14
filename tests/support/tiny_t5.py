"""Small T5 folders with random weights, in the layout of Hugging Face.

Knows nothing of parkmeter: the folders stand for models of users.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "A parking meter holds time for a model endpoint.",
    "Write a story about beautiful weather on a tropical island.",
    "The weather is beautiful and the sea is warm — déjà vu, naïve café.",
    "How many minutes are left? Twelve, and then the endpoint is gone.",
]
_WORDS = " ".join(SENTENCES).split()
_CHANCE = random.Random(1)
PROMPTS = [" ".join(_CHANCE.sample(_WORDS, _CHANCE.randrange(2, 12))) for _ in range(40)]
SPECIAL_TOKENS = ["<pad>", "</s>", "<unk>"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One T5 layout.

    `extra_rows` are embedding rows past the tokenizer, as Flan-T5 has 28. With an `end_weight` of 1
    texts rarely end, with 2 they do now and then.
    """

    feed_forward_proj: str = "gated-gelu"
    tied: bool = False
    d_model: int = 32
    d_kv: int = 12
    num_heads: int = 3
    d_ff: int = 48
    num_layers: int = 2
    num_decoder_layers: int = 3
    extra_rows: int = 5
    seed: int = 1
    end_weight: float = 1.0
    config: dict[str, object] = field(default_factory=dict)


def train_tokenizer() -> Tokenizer:
    """Return a byte-level BPE trained on a few sentences; it ends every prompt as T5's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def config_of(shape: Shape) -> dict[str, object]:
    return {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "d_model": shape.d_model,
        "d_kv": shape.d_kv,
        "d_ff": shape.d_ff,
        "num_heads": shape.num_heads,
        "num_layers": shape.num_layers,
        "num_decoder_layers": shape.num_decoder_layers,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-6,
        "feed_forward_proj": shape.feed_forward_proj,
        "tie_word_embeddings": shape.tied,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        **shape.config,
    }


def random_weights(shape: Shape, rows: int) -> dict[str, np.ndarray]:
    """Return tensors scaled so that the next token's distribution is neither flat nor certain."""
    generator = np.random.default_rng(shape.seed)
    tensors: dict[str, np.ndarray] = {}
    inner = shape.num_heads * shape.d_kv

    def matrix(name: str, outputs: int, inputs: int, scale: float = 1.0) -> None:
        values = generator.standard_normal((outputs, inputs)) * scale / np.sqrt(inputs)
        tensors[name] = values.astype(np.float32)

    def norm(name: str) -> None:
        tensors[name] = generator.uniform(0.7, 1.3, shape.d_model).astype(np.float32)

    def attention(name: str) -> None:
        matrix(f"{name}.q.weight", inner, shape.d_model)
        matrix(f"{name}.k.weight", inner, shape.d_model)
        matrix(f"{name}.v.weight", inner, shape.d_model)
        matrix(f"{name}.o.weight", shape.d_model, inner)

    tensors["shared.weight"] = generator.standard_normal((rows, shape.d_model)).astype(np.float32)
    if not shape.tied:
        matrix("lm_head.weight", rows, shape.d_model, 2.0)
        tensors["lm_head.weight"][1] *= shape.end_weight
    for stack, layers in (("encoder", shape.num_layers), ("decoder", shape.num_decoder_layers)):
        bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        tensors[bias] = generator.standard_normal((32, shape.num_heads)).astype(np.float32)
        for index in range(layers):
            block = f"{stack}.block.{index}.layer"
            attention(f"{block}.0.SelfAttention")
            norm(f"{block}.0.layer_norm.weight")
            last = 1
            if stack == "decoder":
                last = 2
                attention(f"{block}.1.EncDecAttention")
                norm(f"{block}.1.layer_norm.weight")
            dense = f"{block}.{last}.DenseReluDense"
            inputs = ("wi_0", "wi_1") if shape.feed_forward_proj.startswith("gated-") else ("wi",)
            for name in inputs:
                matrix(f"{dense}.{name}.weight", shape.d_ff, shape.d_model)
            matrix(f"{dense}.wo.weight", shape.d_model, shape.d_ff)
            norm(f"{block}.{last}.layer_norm.weight")
        norm(f"{stack}.final_layer_norm.weight")
    return tensors


def write_t5(folder: Path, shape: Shape | None = None) -> dict[str, np.ndarray]:
    """Write a whole model folder and return its tensors."""
    shape = shape or Shape()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    tensors = random_weights(shape, tokenizer.get_vocab_size() + shape.extra_rows)
    (folder / "config.json").write_text(json.dumps(config_of(shape)))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return tensors
