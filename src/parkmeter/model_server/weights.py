"""Tensors of a Hugging Face model folder as float32 arrays. Knows no architectures.

Reads the safetensors format itself: numpy has no bfloat16, the type of most published models, so
the safetensors package cannot return them.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from parkmeter.model_server.errors import CannotLoadError

Float32 = npt.NDArray[np.float32]

# bfloat16 is read as its bits.
_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


class _Tensor(NamedTuple):
    kind: str
    shape: tuple[int, ...]
    data: npt.NDArray[np.uint8]


class Weights:
    """The tensors of a folder by name, each a copy; files are mapped, and read when used."""

    def __init__(self, folder: Path) -> None:
        self._tensors: dict[str, _Tensor] = {}
        for file in weight_files(folder):
            self._tensors |= _map_file(file)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> Float32:
        if name not in self._tensors:
            raise CannotLoadError(f"it has no tensor {name}, so it is not a complete T5")
        kind, shape, data = self._tensors[name]
        if kind not in _TYPES:
            raise CannotLoadError(
                f"its {name} is stored as {kind}; supported are {', '.join(_TYPES)} "
                "(use the original weights, not a quantised copy)"
            )
        try:
            values = np.frombuffer(data, _TYPES[kind]).reshape(shape)
        except ValueError as error:
            raise CannotLoadError(f"its {name} has a wrong number of bytes") from error
        if kind == "BF16":
            # A bfloat16 is the upper half of the float32 of the same value.
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32)

    def parameters(self) -> int:
        """Return the number of stored parameters."""
        return sum(math.prod(tensor.shape) for tensor in self._tensors.values())


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder: a single one, or all shards, sorted.

    Raises:
        CannotLoadError: There are none.
    """
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    # Without the index: every tensor's file is known from the headers, and a missing tensor raises.
    if shards := sorted(folder.glob("model-*.safetensors")):
        return shards
    if any(folder.glob("pytorch_model*.bin")):
        raise CannotLoadError(
            "it has weights as pytorch_model.bin only; the embedded server reads safetensors "
            "(save the model with save_pretrained(..., safe_serialization=True))"
        )
    raise CannotLoadError("it has neither model.safetensors nor model-*.safetensors")


def _map_file(file: Path) -> dict[str, _Tensor]:
    """Map a safetensors file: 8 bytes of header length, the header as JSON, the tensors' bytes."""
    try:
        content = np.memmap(file, np.uint8, mode="r")
        start = 8 + int.from_bytes(content[:8].tobytes(), "little")
        entries: dict[str, Any] = json.loads(content[8:start].tobytes())
        entries.pop("__metadata__", None)
        data = content[start:]
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        tensors = {
            name: _Tensor(
                entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])]
            )
            for name, entry in entries.items()
        }
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise CannotLoadError(f"its {file.name} is not a safetensors file") from error
    if end > len(data):
        raise CannotLoadError(f"its {file.name} is truncated: it ends before its last tensor")
    return tensors
