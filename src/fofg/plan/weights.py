"""The size of a model, from the headers of its files: no weight is read."""

import json
import math
from pathlib import Path
from typing import NamedTuple

from fofg.config import Config
from fofg.errors import UserError
from fofg.models import INDEX

_BFLOAT16 = 2


class Size(NamedTuple):
    """``stored``: bytes of the weights; ``source``: the folder in which they were counted, or the key that states them."""

    parameters: int
    stored: int
    source: str


def of_base_model(settings: Config) -> Size:
    """Counted if ``base_model`` is a folder with weights, else stated by ``plan.model_parameters``, in bfloat16.

    Raises UserError for damaged weights.
    """
    folder = Path(settings.base_model)
    tensors = [tensor for path in _files(folder) for tensor in _tensors(path)]
    if not tensors:
        stated = settings.plan.model_parameters
        return Size(stated, _BFLOAT16 * stated, "plan.model_parameters")
    parameters = sum(math.prod(tensor["shape"]) for tensor in tensors)
    stored = sum(tensor["data_offsets"][1] - tensor["data_offsets"][0] for tensor in tensors)
    return Size(parameters, stored, str(folder))


def _files(folder: Path) -> list[Path]:
    """Files of weights: those that an index names, if there is one."""
    if (folder / INDEX).exists():
        names = _read(folder / INDEX)["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    return sorted(folder.glob("*.safetensors"))


def _tensors(path: Path) -> list[dict]:
    """Shape and place of every tensor."""
    return [tensor for name, tensor in _read(path, skip=8).items() if name != "__metadata__"]


def _read(path: Path, skip: int = 0) -> dict:
    """JSON of a file, or behind its first bytes, which then are its length (little-endian)."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(skip), "little") if skip else -1
            if length > path.stat().st_size:
                raise ValueError("cut off")
            return json.loads(file.read(length))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: damaged weights ({error}); download or make them again") from None
