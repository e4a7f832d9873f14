"""Writes an engine folder back as the Hugging Face T5 folder it was made from, in float32.

Knows CTranslate2's file format and T5's tensor names. What 8 bits have rounded away stays away:
both sides run the same weights.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import save_file

VERSION = 6
TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)

Tensors = dict[str, np.ndarray[Any, Any]]


def write(engine_folder: Path, target: Path) -> None:
    """Write config.json, model.safetensors and tokenizer.json of a gated, untied T5.

    Raises:
        ValueError: The folder's model.bin is of another version or layout.
    """
    stored = read(engine_folder / "model.bin")
    tensors = {
        "shared.weight": _matrix(stored, "decoder/embeddings"),
        "lm_head.weight": _matrix(stored, "decoder/projection"),
    }
    for stack in ("encoder", "decoder"):
        _fill_stack(tensors, stored, stack)
    target.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()},
        target / "model.safetensors",
        metadata={"format": "pt"},
    )
    (target / "config.json").write_text(json.dumps(_config(stored, tensors)), encoding="utf-8")
    shutil.copyfile(engine_folder / "tokenizer.json", target / "tokenizer.json")


def read(file: Path) -> Tensors:
    """Every variable of a model.bin, those stored once for several names under each."""
    variables: Tensors = {}
    with file.open("rb") as stream:
        version = _number(stream, 4)
        if version != VERSION:
            raise ValueError(f"{file.name} has format {version}; only {VERSION} is known here")
        _text(stream)  # the name of the specification
        _number(stream, 4)  # its revision
        for _ in range(_number(stream, 4)):
            name = _text(stream)
            shape = [_number(stream, 4) for _ in range(_number(stream, 1))]
            kind = TYPES[_number(stream, 1)]
            variables[name] = np.frombuffer(stream.read(_number(stream, 4)), kind).reshape(shape)
        for _ in range(_number(stream, 4)):
            alias = _text(stream)
            variables[alias] = variables[_text(stream)]
    return variables


def _fill_stack(tensors: Tensors, stored: Tensors, stack: str) -> None:
    last = 1 if stack == "encoder" else 2
    for index in range(_layers(stored, stack)):
        source, block = f"{stack}/layer_{index}", f"{stack}.block.{index}.layer"
        attention = f"{source}/self_attention"
        queries_keys_values = np.split(_matrix(stored, f"{attention}/linear_0"), 3)
        output = _matrix(stored, f"{attention}/linear_1")
        _fill_attention(tensors, f"{block}.0.SelfAttention", [*queries_keys_values, output])
        tensors[f"{block}.0.layer_norm.weight"] = stored[f"{attention}/layer_norm/gamma"]
        if stack == "decoder":
            attention = f"{source}/attention"
            queries, keys_values, output = (
                _matrix(stored, f"{attention}/linear_{part}") for part in range(3)
            )
            parts = [queries, *np.split(keys_values, 2), output]
            _fill_attention(tensors, f"{block}.1.EncDecAttention", parts)
            tensors[f"{block}.1.layer_norm.weight"] = stored[f"{attention}/layer_norm/gamma"]
        dense = f"{block}.{last}.DenseReluDense"
        tensors[f"{dense}.wi_0.weight"] = _matrix(stored, f"{source}/ffn/linear_0")
        tensors[f"{dense}.wi_1.weight"] = _matrix(stored, f"{source}/ffn/linear_0_noact")
        tensors[f"{dense}.wo.weight"] = _matrix(stored, f"{source}/ffn/linear_1")
        tensors[f"{block}.{last}.layer_norm.weight"] = stored[f"{source}/ffn/layer_norm/gamma"]
    bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    tensors[bias] = stored[f"{stack}/layer_0/self_attention/relative_attention_bias"]
    tensors[f"{stack}.final_layer_norm.weight"] = stored[f"{stack}/layer_norm/gamma"]


def _fill_attention(tensors: Tensors, name: str, parts: list[np.ndarray[Any, Any]]) -> None:
    for part, matrix in zip("qkvo", parts, strict=True):
        tensors[f"{name}.{part}.weight"] = matrix


def _config(stored: Tensors, tensors: Tensors) -> dict[str, object]:
    bias = tensors["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    inner = len(tensors["encoder.block.0.layer.0.SelfAttention.q.weight"])
    rows, width = tensors["shared.weight"].shape
    return {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "vocab_size": rows,
        "d_model": width,
        "d_kv": inner // bias.shape[1],
        "d_ff": len(tensors["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"]),
        "num_heads": bias.shape[1],
        "num_layers": _layers(stored, "encoder"),
        "num_decoder_layers": _layers(stored, "decoder"),
        "relative_attention_num_buckets": bias.shape[0],
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "scale_decoder_outputs": False,
        "dropout_rate": 0.0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


def _layers(stored: Tensors, stack: str) -> int:
    pattern = re.compile(rf"{stack}/layer_\d+/ffn/layer_norm/gamma")
    return sum(pattern.fullmatch(name) is not None for name in stored)


def _matrix(stored: Tensors, name: str) -> np.ndarray[Any, Any]:
    """Return the weight as numbers: 8 bits are stored with one scale a row."""
    weight = stored[f"{name}/weight"]
    if weight.dtype != np.int8:
        return weight
    return weight.astype(np.float32) / stored[f"{name}/weight_scale"][:, np.newaxis]


def _number(stream: BinaryIO, size: int) -> int:
    return int.from_bytes(stream.read(size), "little")


def _text(stream: BinaryIO) -> str:
    return stream.read(_number(stream, 2)).rstrip(b"\0").decode()
