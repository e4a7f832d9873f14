"""Reads the tensors of a Hugging Face model folder as float32 arrays.

Knows the safetensors file format and nothing of model architectures. The format is read here
rather than through the safetensors package because its numpy side refuses bfloat16, the type most
published models are stored in.
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parkmeter.model_server.errors import CannotLoadError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# The format's own limit; a larger header is not a safetensors file.
MAX_HEADER_BYTES = 100_000_000

Float32 = npt.NDArray[np.float32]

# bfloat16 is read as its bits; `Weights` widens them.
_STORED_AS: Mapping[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one tensor lies: `start` and `end` are byte offsets into the file."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


class Weights:
    """The tensors of a folder by name, read from disk when asked for."""

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, _Place] = {}
        for file in weight_files(folder):
            self._places.update(_header(file))

    def __getitem__(self, name: str) -> Float32:
        place = self._places.get(name)
        if place is None:
            raise CannotLoadError(f"it has no tensor {name}, so it is not a whole T5")
        if place.kind not in _STORED_AS:
            raise CannotLoadError(
                f"its {name} is stored as {place.kind}; readable are F64, F32, F16 and "
                "BF16 (use the original weights, not a quantised copy)"
            )
        stored = np.dtype(_STORED_AS[place.kind])
        if place.end - place.start != math.prod(place.shape) * stored.itemsize:
            raise CannotLoadError(
                f"its {place.file.name} is damaged: {name} has the wrong number of bytes"
            )
        raw = np.fromfile(
            place.file, dtype=stored, count=math.prod(place.shape), offset=place.start
        ).reshape(place.shape)
        if place.kind == "BF16":
            # A bfloat16 is the upper half of the float32 of the same value.
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float32, copy=False)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def parameters(self) -> int:
        """Return how many numbers the stored tensors hold together."""
        return sum(math.prod(place.shape) for place in self._places.values())


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files of a model folder, one or all shards, in a stable order."""
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    if (folder / INDEX).is_file():
        try:
            shards = set(json.loads((folder / INDEX).read_bytes())["weight_map"].values())
        except (ValueError, KeyError, AttributeError, TypeError) as broken:
            raise CannotLoadError(f"its {INDEX} is not a weight index") from broken
        files = tuple(folder / str(name) for name in sorted(shards))
        for file in files:
            # A name with a path in it would read files outside the model.
            if file.parent != folder or not file.is_file():
                raise CannotLoadError(f"its {INDEX} names {file.name}, which is not there")
        return files
    if any(folder.glob("pytorch_model*.bin")):
        raise CannotLoadError(
            "it holds pytorch_model.bin only; the embedded server reads safetensors "
            "(save the model with save_pretrained(..., safe_serialization=True))"
        )
    raise CannotLoadError(f"it holds neither {SINGLE} nor {INDEX}")


def _header(file: Path) -> dict[str, _Place]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else MAX_HEADER_BYTES + 1  # noqa: PLR2004 (the format's length field)
        if length > min(size, MAX_HEADER_BYTES):
            raise CannotLoadError(f"its {file.name} is not a safetensors file, or was cut short")
        try:
            entries: dict[str, Any] = json.loads(stream.read(length))
            places = {
                name: _place(file, 8 + length, entry)
                for name, entry in entries.items()
                if name != "__metadata__"
            }
        except (ValueError, KeyError, AttributeError, TypeError) as broken:
            raise CannotLoadError(f"its {file.name} is not a safetensors file") from broken
    if any(place.end > size for place in places.values()):
        raise CannotLoadError(f"its {file.name} was cut short: it ends before its last tensor")
    return places


def _place(file: Path, base: int, entry: Mapping[str, Any]) -> _Place:
    start, end = entry["data_offsets"]
    shape = tuple(int(length) for length in entry["shape"])
    return _Place(file, str(entry["dtype"]), shape, base + int(start), base + int(end))
