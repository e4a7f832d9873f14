"""T5 in plain numpy: the reference for converted models.

Written from the papers (T5 1910.10683, GLU variants 2002.05202) without the engine: one prompt, no
cache, no batches.
"""

import math

import numpy as np

Tensors = dict[str, np.ndarray]


class ReferenceT5:
    """Computes the probabilities of the next token for one prompt."""

    def __init__(self, tensors: Tensors, config: dict, *, scale_outputs: bool) -> None:
        self.tensors = {name: value.astype(np.float64) for name, value in tensors.items()}
        self.config = config
        self.scale_outputs = scale_outputs

    def next_token_probabilities(self, source: list[int], target: list[int]) -> np.ndarray:
        encoded = self._stack("encoder", source, None)
        decoded = self._stack("decoder", target, encoded)[-1]
        if self.scale_outputs:
            decoded = decoded * self.config["d_model"] ** -0.5
        head = self.tensors.get("lm_head.weight", self.tensors["shared.weight"])
        return _softmax(head @ decoded)

    def greedy(self, source: list[int], steps: int, end: int = 1) -> list[int]:
        target = [self.config["decoder_start_token_id"]]
        for _ in range(steps):
            token = int(np.argmax(self.next_token_probabilities(source, target)))
            if token == end:
                break
            target.append(token)
        return target[1:]

    def _stack(self, stack: str, tokens: list[int], encoded: np.ndarray | None) -> np.ndarray:
        hidden = self.tensors["shared.weight"][tokens]
        length = len(tokens)
        bias = self._position_bias(stack, length)
        if stack == "decoder":
            bias = bias + np.triu(np.full((length, length), -np.inf), k=1)
        layers = self.config["num_layers" if stack == "encoder" else "num_decoder_layers"]
        for index in range(layers):
            block = f"{stack}.block.{index}.layer"
            normed = self._norm(hidden, f"{block}.0.layer_norm.weight")
            hidden = hidden + self._attention(f"{block}.0.SelfAttention", normed, normed, bias)
            if encoded is not None:
                normed = self._norm(hidden, f"{block}.1.layer_norm.weight")
                name = f"{block}.1.EncDecAttention"
                hidden = hidden + self._attention(name, normed, encoded, None)
            last = f"{block}.{1 if encoded is None else 2}"
            normed = self._norm(hidden, f"{last}.layer_norm.weight")
            hidden = hidden + self._feed_forward(f"{last}.DenseReluDense", normed)
        return self._norm(hidden, f"{stack}.final_layer_norm.weight")

    def _norm(self, hidden: np.ndarray, name: str) -> np.ndarray:
        mean_square = np.mean(hidden**2, axis=-1, keepdims=True)
        epsilon = self.config["layer_norm_epsilon"]
        return hidden / np.sqrt(mean_square + epsilon) * self.tensors[name]

    def _attention(self, name, queries, keys, bias) -> np.ndarray:
        heads = self.config["num_heads"]

        def split(part: str, hidden: np.ndarray) -> np.ndarray:
            projected = hidden @ self.tensors[f"{name}.{part}.weight"].T
            return projected.reshape(len(hidden), heads, -1).transpose(1, 0, 2)

        scores = split("q", queries) @ split("k", keys).transpose(0, 2, 1)
        if bias is not None:
            scores = scores + bias
        context = _softmax(scores) @ split("v", keys)
        joined = context.transpose(1, 0, 2).reshape(len(queries), -1)
        return joined @ self.tensors[f"{name}.o.weight"].T

    def _feed_forward(self, name: str, hidden: np.ndarray) -> np.ndarray:
        projection = self.config["feed_forward_proj"]
        if projection == "relu":
            inner = np.maximum(hidden @ self.tensors[f"{name}.wi.weight"].T, 0)
        else:
            assert projection == "gated-gelu"
            gate = hidden @ self.tensors[f"{name}.wi_0.weight"].T
            tanh = np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3))
            inner = 0.5 * gate * (1 + tanh) * (hidden @ self.tensors[f"{name}.wi_1.weight"].T)
        return inner @ self.tensors[f"{name}.wo.weight"].T

    def _position_bias(self, stack: str, length: int) -> np.ndarray:
        table = self.tensors[
            f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        ]
        buckets = [
            [self._bucket(key - query, bidirectional=stack == "encoder") for key in range(length)]
            for query in range(length)
        ]
        return table[buckets].transpose(2, 0, 1)

    def _bucket(self, distance: int, *, bidirectional: bool) -> int:
        count = self.config["relative_attention_num_buckets"]
        first = 0
        if bidirectional:
            count //= 2
            first = count if distance > 0 else 0
            distance = abs(distance)
        else:
            distance = max(-distance, 0)
        exact = count // 2
        if distance < exact:
            return first + distance
        limit = self.config["relative_attention_max_distance"]
        logarithm = math.log(distance / exact) / math.log(limit / exact)
        return first + min(exact + int(logarithm * (count - exact)), count - 1)


def _softmax(scores: np.ndarray) -> np.ndarray:
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)
