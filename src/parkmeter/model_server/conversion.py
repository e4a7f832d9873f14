"""Conversion of a Hugging Face T5 folder (safetensors) to a CTranslate2 folder, in numpy.

Knows T5's tensor names and CTranslate2's specification, not caches, hubs or serving. CTranslate2's
own converter needs torch and transformers (1.3 GB), and takes the scaling of the decoder's outputs
from ``tie_word_embeddings``, which transformers 5 writes as true for every T5: the logits of an
untied model are then divided by sqrt(d_model), so that greedy text looks right and sampling is
noise.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec
from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES
from tokenizers import Tokenizer

from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.tokenizer import FILE as TOKENIZER
from parkmeter.model_server.tokenizer import read_tokenizer
from parkmeter.model_server.weights import Float32, Weights

# Increase it when the same source converts to something else: it is part of the cache's key.
REVISION = 1

# In its gated variant T5 calls "gelu" what is the tanh approximation of it.
_ACTIVATIONS = {
    "relu": common_spec.Activation.RELU,
    "gelu": common_spec.Activation.GELU,
    "gated-gelu": common_spec.Activation.GELUTanh,
    "gated-silu": common_spec.Activation.SWISH,
    "gated-relu": common_spec.Activation.RELU,
}


def convert(
    source: Path,
    target: Path,
    quantization: str = "int8",
    report: Callable[[str], None] = lambda _line: None,
) -> None:
    """Convert the model in `source` for the engine.

    Args:
        source: Folder with config.json, tokenizer.json and model.safetensors (or its shards).
        target: Folder to write; created if missing, its model files are replaced.
        quantization: Storage type of the weights, one of CTranslate2's.
        report: Called with lines of progress.

    Raises:
        CannotLoadError: The folder is not a T5 that can be converted.
    """
    if quantization not in ACCEPTED_MODEL_TYPES:
        raise ValueError(f"{quantization!r} is not one of {', '.join(ACCEPTED_MODEL_TYPES)}")
    config = read_config(source)
    tokenizer = read_tokenizer(source)
    weights = Weights(source)
    report(f"converting {weights.parameters() / 1e6:.1f} M parameters to {quantization}, once")
    try:
        spec = _specification(config, weights)
    except (KeyError, TypeError) as error:
        raise CannotLoadError(f"its config.json is not that of a T5: {error}") from error
    tokens = _vocabulary(tokenizer, rows=spec.decoder.projection.weight.shape[0])
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    _set_special_tokens(spec.config, config, tokenizer, tokens)
    spec.validate()
    spec.optimize(quantization=quantization)
    target.mkdir(parents=True, exist_ok=True)
    spec.save(str(target))
    shutil.copyfile(source / TOKENIZER, target / TOKENIZER)


def read_config(source: Path) -> Mapping[str, Any]:
    """Return the config.json in `source`.

    Raises:
        CannotLoadError: There is none, or it is not that of a supported T5.
    """
    try:
        config = json.loads((source / "config.json").read_bytes())
    except FileNotFoundError as error:
        raise CannotLoadError("it has no config.json, so it is not a model folder") from error
    except ValueError as error:
        raise CannotLoadError("its config.json is not JSON") from error
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type not in {"t5", "mt5"}:
        raise CannotLoadError(
            f"it is a {model_type!r} model; the embedded server runs T5 and Flan-T5 only. "
            "Serve it with another server by command = [...]"
        )
    projection = config.setdefault("feed_forward_proj", "relu")
    if projection not in _ACTIVATIONS:
        supported = ", ".join(_ACTIVATIONS)
        raise CannotLoadError(f"its feed_forward_proj is {projection!r}; supported are {supported}")
    return dict(config)


def _specification(config: Mapping[str, Any], weights: Weights) -> Any:
    layers = config["num_layers"]
    projection = config["feed_forward_proj"]
    spec = transformer_spec.TransformerSpec.from_config(
        (layers, config.get("num_decoder_layers") or layers),
        config["num_heads"],
        activation=_ACTIVATIONS[projection],
        ffn_glu=projection.startswith("gated-"),
        relative_attention_bias=True,
        rms_norm=True,
    )
    spec.config.layer_norm_epsilon = config.get("layer_norm_epsilon", 1e-6)
    distance = np.int32(config.get("relative_attention_max_distance", 128))
    _fill_stack(spec.encoder, "encoder", weights, distance)
    _fill_stack(spec.decoder, "decoder", weights, distance)
    read = cache(weights.__getitem__)  # a shared matrix is in memory once

    def first(*names: str) -> Float32:
        return read(next((name for name in names if name in weights), names[-1]))

    embeddings = "decoder.embed_tokens.weight", "shared.weight"
    spec.encoder.embeddings[0].weight = first("encoder.embed_tokens.weight", "shared.weight")
    spec.decoder.embeddings.weight = first(*embeddings)
    # The stored tensors decide, not `tie_word_embeddings`: a tied model stores no second matrix.
    spec.decoder.projection.weight = first("lm_head.weight", *embeddings)
    scales = config.get("scale_decoder_outputs")
    if config.get("tie_word_embeddings", True) if scales is None else scales:
        spec.decoder.scale_outputs = float(config["d_model"]) ** -0.5
    return spec


def _fill_stack(spec: Any, stack: str, weights: Weights, distance: np.int32) -> None:
    spec.scale_embeddings = False
    spec.layer_norm.gamma = weights[f"{stack}.final_layer_norm.weight"]
    # Only the first layer stores the table of relative positions; all layers share it.
    bias = weights[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    for index, layer in enumerate(spec.layer):
        block = f"{stack}.block.{index}.layer"
        _fill_attention(layer.self_attention, f"{block}.0", "SelfAttention", ("qkv", "o"), weights)
        layer.self_attention.relative_attention_bias = bias
        layer.self_attention.relative_attention_max_distance = distance
        last = 1
        if stack == "decoder":
            last = 2
            parts = "q", "kv", "o"
            _fill_attention(layer.attention, f"{block}.1", "EncDecAttention", parts, weights)
        dense = f"{block}.{last}.DenseReluDense"
        gated = hasattr(layer.ffn, "linear_0_noact")
        layer.ffn.linear_0.weight = weights[f"{dense}.{'wi_0' if gated else 'wi'}.weight"]
        if gated:
            layer.ffn.linear_0_noact.weight = weights[f"{dense}.wi_1.weight"]
        layer.ffn.linear_1.weight = weights[f"{dense}.wo.weight"]
        layer.ffn.layer_norm.gamma = weights[f"{block}.{last}.layer_norm.weight"]


def _fill_attention(
    spec: Any, layer: str, kind: str, parts: tuple[str, ...], weights: Weights
) -> None:
    spec.queries_scale = 1.0  # T5 folds the scaling into its initial weights
    spec.layer_norm.gamma = weights[f"{layer}.layer_norm.weight"]
    for linear, letters in zip(spec.linear, parts, strict=True):
        matrices = [weights[f"{layer}.{kind}.{letter}.weight"] for letter in letters]
        linear.weight = np.concatenate(matrices)


def _vocabulary(tokenizer: Tokenizer, rows: int) -> list[str]:
    """Return one distinct token per embedding row; rows past the tokenizer get placeholders."""
    size = tokenizer.get_vocab_size()
    if size > rows:
        raise CannotLoadError(
            f"its tokenizer.json has {size} tokens, the model only {rows}: they do not belong "
            "together"
        )
    tokens = (tokenizer.id_to_token(row) for row in range(rows))
    return [f"<unused_row_{row}>" if token is None else token for row, token in enumerate(tokens)]


def _set_special_tokens(
    target: Any, config: Mapping[str, Any], tokenizer: Tokenizer, tokens: list[str]
) -> None:
    pad = config.get("pad_token_id") or 0
    end = config.get("eos_token_id", 1)
    start = config.get("decoder_start_token_id")
    # A unigram model stores the id of its unknown token, a BPE model its text, or neither.
    model = json.loads(tokenizer.to_str())["model"]
    unknown = model.get("unk_id", model.get("unk_token"))
    try:
        target.bos_token = tokens[pad]
        target.eos_token = tokens[end[0] if isinstance(end, list) else end]
        target.decoder_start_token = tokens[pad if start is None else start]
        target.unk_token = tokens[unknown] if isinstance(unknown, int) else unknown or tokens[pad]
    except (IndexError, TypeError) as error:
        raise CannotLoadError("its config.json names special tokens that do not exist") from error
