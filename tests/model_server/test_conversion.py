"""A converted model computes what the original does, for every layout of T5."""

import json
import shutil
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from parkmeter.model_server.conversion import convert
from parkmeter.model_server.decoding import Decoding
from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.model import Model
from parkmeter.model_server.weights import Weights
from tests.support.reference_t5 import ReferenceT5
from tests.support.tiny_t5 import SENTENCES, Shape, config_of, write_t5

V5 = {"tie_word_embeddings": True, "scale_decoder_outputs": False}
LAYOUTS = {
    "v1.0: relu, tied, scaled outputs": (Shape("relu", tied=True), True),
    "v1.1 and Flan: gated, a head of its own": (Shape(), False),
    "gated and tied": (Shape(tied=True), True),
    "v1.1 as transformers 5 saves it": (Shape(config=V5), False),
    "tied without scaling": (Shape(tied=True, config={"scale_decoder_outputs": False}), False),
    "more encoder than decoder layers": (Shape(num_layers=4, num_decoder_layers=1), False),
    "no number of decoder layers": (
        Shape(num_decoder_layers=2, config={"num_decoder_layers": None}),
        0,
    ),
}


def first_token_probabilities(folder: Path, prompt: str) -> np.ndarray:
    translator = ctranslate2.Translator(str(folder), intra_threads=1)
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(prompt).tokens
    (result,) = translator.translate_batch(
        [tokens],
        beam_size=1,
        max_decoding_length=1,
        min_decoding_length=0,
        max_input_length=0,
        return_logits_vocab=True,
    )
    logits = np.array(result.logits[0][0], dtype=np.float64)
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the total variation: how much probability lies elsewhere."""
    return float(np.abs(one - other).sum() / 2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("quantization", "tolerance"), [("float32", 1e-5), ("int8", 0.06)])
def test_the_first_token_has_the_probabilities_of_the_original(
    layout, quantization, tolerance, tmp_path
):
    shape, scaled = LAYOUTS[layout]
    tensors = write_t5(tmp_path / "source", shape)
    convert(tmp_path / "source", tmp_path / "target", quantization)
    config = {**config_of(shape), "num_decoder_layers": shape.num_decoder_layers}
    reference = ReferenceT5(tensors, config, scale_outputs=scaled)
    tokenizer = Tokenizer.from_file(str(tmp_path / "target" / "tokenizer.json"))
    # The long prompt reaches the far buckets of the relative positions.
    for prompt in (SENTENCES[0], " ".join(SENTENCES * 2)):
        expected = reference.next_token_probabilities(tokenizer.encode(prompt).ids, [0])
        found = first_token_probabilities(tmp_path / "target", prompt)
        assert distance(found, expected) < tolerance


def test_from_prompt_to_text_it_says_what_the_original_says(tmp_path):
    tensors = write_t5(tmp_path / "source", Shape())
    convert(tmp_path / "source", tmp_path / "target", "float32")
    model = Model(tmp_path / "target", workers=1)
    tokenizer = Tokenizer.from_file(str(tmp_path / "source" / "tokenizer.json"))
    reference = ReferenceT5(tensors, config_of(Shape()), scale_outputs=False)
    found = model.generate(model.encode(SENTENCES), Decoding(max_new_tokens=12))
    expected = [reference.greedy(tokenizer.encode(prompt).ids, 12) for prompt in SENTENCES]
    assert [model.decode(text.tokens) for (text,) in found] == [
        tokenizer.decode(tokens) for tokens in expected
    ]
    assert len({tuple(tokens) for tokens in expected}) == len(SENTENCES)


def as_bfloat16(values: np.ndarray) -> np.ndarray:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def write_raw(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> None:
    header, data = {}, b""
    for name, (kind, values) in tensors.items():
        offsets = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": offsets}
        data += values.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    ("kind", "stored", "tolerance"),
    [
        ("F64", lambda values: values.astype(np.float64), 1e-5),
        ("F16", lambda values: values.astype(np.float16), 1e-2),
        ("BF16", as_bfloat16, 5e-2),
    ],
)
def test_weights_of_any_float_type_are_read(kind, stored, tolerance, tmp_path):
    tensors = write_t5(tmp_path, Shape())
    raw = {name: (kind, stored(values)) for name, values in tensors.items()}
    write_raw(tmp_path / "model.safetensors", raw)
    weights = Weights(tmp_path)
    for name, values in tensors.items():
        assert weights[name].dtype == np.float32
        np.testing.assert_allclose(weights[name], values, rtol=tolerance, atol=1e-6)
    convert(tmp_path, tmp_path / "target")
    assert (tmp_path / "target" / "model.bin").stat().st_size < 200_000


def test_shards_convert_to_the_same_model(tmp_path):
    tensors = write_t5(tmp_path / "whole", Shape())
    shutil.copytree(tmp_path / "whole", tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors").unlink()
    names = sorted(tensors)
    index = {}
    for number, part in enumerate((names[::2], names[1::2])):
        file = f"model-{number}.safetensors"
        save_file({name: tensors[name] for name in part}, tmp_path / "shards" / file)
        index |= dict.fromkeys(part, file)
    document = json.dumps({"weight_map": index})
    (tmp_path / "shards" / "model.safetensors.index.json").write_text(document)
    convert(tmp_path / "whole", tmp_path / "one")
    convert(tmp_path / "shards", tmp_path / "two")
    assert (tmp_path / "one/model.bin").read_bytes() == (tmp_path / "two/model.bin").read_bytes()


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def rewrite(folder: Path, change) -> None:
    weights = Weights(folder)
    tensors = {name: weights[name] for name in weights._tensors}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def only_spiece(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "spiece.model")


def cut_short(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def only_torch(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def index_outside(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    document = json.dumps({"weight_map": {"shared.weight": "../model.safetensors"}})
    (folder / "model.safetensors.index.json").write_text(document)


def quantised(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.update({"shared.weight": np.zeros((9, 9), np.int8)}))


FAULTS = {
    "it is a 'llama' model; the embedded server runs T5": lambda folder: change_config(
        folder, model_type="llama"
    ),
    "its feed_forward_proj is 'gated-tanh'": lambda folder: change_config(
        folder, feed_forward_proj="gated-tanh"
    ),
    "its config.json is not that of a T5: 'num_heads'": lambda folder: (
        folder / "config.json"
    ).write_text('{"model_type": "t5", "num_layers": 2}'),
    "its config.json is not JSON": lambda folder: (folder / "config.json").write_text("{"),
    "it has no config.json": lambda folder: (folder / "config.json").unlink(),
    "it has no tokenizer.json; spiece.model alone is not enough": only_spiece,
    "it has no tokenizer.json": lambda folder: (folder / "tokenizer.json").unlink(),
    "its tokenizer.json is not a tokenizer": lambda folder: (folder / "tokenizer.json").write_text(
        "{}"
    ),
    "its model.safetensors is truncated": cut_short,
    "its model.safetensors is not a safetensors file": lambda folder: (
        folder / "model.safetensors"
    ).write_bytes(b"\x10" + b"\0" * 7 + b"not json at all!"),
    "it has weights as pytorch_model.bin only": only_torch,
    "it has neither model.safetensors nor": lambda folder: (folder / "model.safetensors").unlink(),
    "it has neither model.safetensors nor model-": index_outside,
    "its shared.weight is stored as I8": quantised,
    "it has no tensor decoder.final_layer_norm.weight": lambda folder: rewrite(
        folder, lambda tensors: tensors.pop("decoder.final_layer_norm.weight")
    ),
    "they do not belong together": lambda folder: rewrite(
        folder, lambda tensors: tensors.update({"lm_head.weight": np.ones((9, 32), np.float32)})
    ),
    "its config.json names special tokens that do not exist": lambda folder: change_config(
        folder, eos_token_id=99_999
    ),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_what_cannot_be_converted_is_refused_with_the_reason(reason, tmp_path):
    write_t5(tmp_path, Shape())
    FAULTS[reason](tmp_path)
    with pytest.raises(CannotLoadError) as refused:
        convert(tmp_path, tmp_path / "target")
    assert reason in str(refused.value)


def test_an_unknown_quantization_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'int3' is not one of int8"):
        convert(tmp_path, tmp_path / "target", "int3")
