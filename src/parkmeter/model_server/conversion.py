"""Turns a Hugging Face T5 folder (safetensors) into a CTranslate2 folder, in numpy alone.

Knows T5's tensor names and CTranslate2's specification; knows nothing of caches, hubs or serving.
CTranslate2's own converter needs torch and transformers (1.3 GB), and takes the scaling of the
decoder's outputs from ``tie_word_embeddings``, which transformers 5 writes as true for every T5:
the logits of an untied model then come out divided by sqrt(d_model), greedy text looks right and
sampling is noise.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec
from tokenizers import Tokenizer

from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.tokenizer import read_tokenizer
from parkmeter.model_server.weights import Float32, Weights

# Raise it when the same source would convert to something else: it is part of the cache's key.
REVISION = 1
QUANTIZATIONS = ("int8", "int8_float32", "int8_float16", "int16", "float16", "float32")
MODEL_TYPES = ("t5", "mt5")

# T5 names its gated variant's "gelu" but computes the tanh approximation of it.
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
    """Write the model of `source` into `target` for the engine.

    Args:
        source: Folder with config.json, tokenizer.json and model.safetensors (or its shards).
        target: Folder to write; created if missing, its model files are replaced.
        quantization: How weights are stored, one of `QUANTIZATIONS`.
        report: Is told of the progress, one line at a time.

    Raises:
        CannotLoadError: The folder is not a T5 that can be converted.
    """
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"quantization is {quantization!r}; known are {', '.join(QUANTIZATIONS)}")
    config = read_config(source)
    tokenizer = read_tokenizer(source)
    weights = Weights(source)
    report(f"converting {weights.parameters() / 1e6:.1f} M parameters to {quantization}, once")
    try:
        spec = _specification(config, weights)
    except (KeyError, TypeError) as wrong:
        raise CannotLoadError(f"its config.json is not a T5's: {wrong}") from wrong
    tokens = _vocabulary(tokenizer, rows=spec.decoder.projection.weight.shape[0])
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    _name_special_tokens(spec.config, config, tokenizer, tokens)
    spec.validate()
    spec.optimize(quantization=quantization)
    target.mkdir(parents=True, exist_ok=True)
    spec.save(str(target))
    shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")


def read_config(source: Path) -> Mapping[str, Any]:
    """Return the source's config.json; refuse every model that is not a T5."""
    try:
        config = json.loads((source / "config.json").read_bytes())
    except FileNotFoundError as missing:
        raise CannotLoadError("it has no config.json, so it is not a model folder") from missing
    except ValueError as broken:
        raise CannotLoadError("its config.json is not JSON") from broken
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type not in MODEL_TYPES:
        raise CannotLoadError(
            f"it is a {model_type!r} model; the embedded server runs T5 and Flan-T5 only. "
            "Serve it with another server by command = [...]"
        )
    if config.get("feed_forward_proj", "relu") not in _ACTIVATIONS:
        raise CannotLoadError(
            f"its feed_forward_proj is {config['feed_forward_proj']!r}; "
            f"known are {', '.join(_ACTIVATIONS)}"
        )
    return dict(config)


def _specification(config: Mapping[str, Any], weights: Weights) -> Any:
    projection = config.get("feed_forward_proj", "relu")
    encoder_layers = config["num_layers"]
    decoder_layers = config.get("num_decoder_layers") or encoder_layers
    spec = transformer_spec.TransformerSpec.from_config(
        (encoder_layers, decoder_layers),
        config["num_heads"],
        activation=_ACTIVATIONS[projection],
        ffn_glu=projection.startswith("gated-"),
        relative_attention_bias=True,
        rms_norm=True,
    )
    spec.config.layer_norm_epsilon = config.get("layer_norm_epsilon", 1e-6)
    distance = np.int32(config.get("relative_attention_max_distance", 128))
    read = _embedding("encoder", weights), _embedding("decoder", weights)
    # The stored tensors decide, not `tie_word_embeddings`: a tied model stores no second matrix.
    head = "lm_head.weight" if "lm_head.weight" in weights else read[1]
    tables = {name: weights[name] for name in (*read, head)}
    spec.encoder.embeddings[0].weight = tables[read[0]]
    spec.decoder.embeddings.weight = tables[read[1]]
    spec.decoder.projection.weight = tables[head]
    _fill_stack(spec.encoder, "encoder", weights, distance)
    _fill_stack(spec.decoder, "decoder", weights, distance)
    if _scales_outputs(config):
        spec.decoder.scale_outputs = float(config["d_model"]) ** -0.5
    return spec


def _scales_outputs(config: Mapping[str, Any]) -> bool:
    """Tell whether the decoder's outputs are divided by sqrt(d_model), as T5 v1.0 does."""
    scales = config.get("scale_decoder_outputs")
    return bool(config.get("tie_word_embeddings", True) if scales is None else scales)


def _embedding(stack: str, weights: Weights) -> str:
    own = f"{stack}.embed_tokens.weight"
    return own if own in weights else "shared.weight"


def _fill_stack(spec: Any, stack: str, weights: Weights, distance: np.int32) -> None:
    spec.scale_embeddings = False
    spec.layer_norm.gamma = weights[f"{stack}.final_layer_norm.weight"]
    # Only the first layer stores the table of relative positions; all layers share it.
    bias = weights[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    for index, layer in enumerate(spec.layer):
        block = f"{stack}.block.{index}.layer"
        attention = layer.self_attention
        query, key, value, output = _attention(f"{block}.0.SelfAttention", weights)
        attention.queries_scale = 1.0  # T5 folds the scaling into its initial weights
        attention.linear[0].weight = np.concatenate([query, key, value])
        attention.linear[1].weight = output
        attention.layer_norm.gamma = weights[f"{block}.0.layer_norm.weight"]
        attention.relative_attention_bias = bias
        attention.relative_attention_max_distance = distance
        feed_forward = 1
        if stack == "decoder":
            feed_forward = 2
            query, key, value, output = _attention(f"{block}.1.EncDecAttention", weights)
            layer.attention.queries_scale = 1.0
            layer.attention.linear[0].weight = query
            layer.attention.linear[1].weight = np.concatenate([key, value])
            layer.attention.linear[2].weight = output
            layer.attention.layer_norm.gamma = weights[f"{block}.1.layer_norm.weight"]
        _fill_feed_forward(layer.ffn, f"{block}.{feed_forward}", weights)


def _attention(name: str, weights: Weights) -> tuple[Float32, Float32, Float32, Float32]:
    query, key, value, output = (weights[f"{name}.{part}.weight"] for part in "qkvo")
    return query, key, value, output


def _fill_feed_forward(spec: Any, name: str, weights: Weights) -> None:
    dense = f"{name}.DenseReluDense"
    if hasattr(spec, "linear_0_noact"):
        spec.linear_0.weight = weights[f"{dense}.wi_0.weight"]
        spec.linear_0_noact.weight = weights[f"{dense}.wi_1.weight"]
    else:
        spec.linear_0.weight = weights[f"{dense}.wi.weight"]
    spec.linear_1.weight = weights[f"{dense}.wo.weight"]
    spec.layer_norm.gamma = weights[f"{name}.layer_norm.weight"]


def _vocabulary(tokenizer: Tokenizer, rows: int) -> list[str]:
    """Return one distinct token per embedding row; rows past the tokenizer get placeholders."""
    if tokenizer.get_vocab_size() > rows:
        raise CannotLoadError(
            f"its tokenizer.json has {tokenizer.get_vocab_size()} tokens, the model only {rows}: "
            "they do not belong together"
        )
    named = (tokenizer.id_to_token(row) for row in range(rows))
    return [f"<unused_row_{row}>" if token is None else token for row, token in enumerate(named)]


def _name_special_tokens(
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
    except (IndexError, TypeError) as broken:
        raise CannotLoadError("its config.json names special tokens that do not exist") from broken
