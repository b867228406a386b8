"""Checkpoints to resume from: kept under a fingerprint of what the training depends on, and used only when complete."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from fofg.data.files import write_json

#: Written last into a checkpoint's folder: the size in bytes of every file in it.
SEAL = "complete.json"


def fingerprint(spec: str, model: str, files: Iterable[Path]) -> str:
    """32 hexadecimal digits that change with the spec, the digest of the model, or the content of any file, in their order."""
    total = hashlib.sha256(f"{spec}\n{model}\n".encode())
    for path in files:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def seal(checkpoint: Path) -> None:
    """Marks a checkpoint's folder as complete."""
    write_json(checkpoint / SEAL, {path.name: path.stat().st_size for path in checkpoint.iterdir() if path.name != SEAL})


def newest(state: Path) -> Path | None:
    """The complete checkpoint of most steps (``state/checkpoint-<steps>``); torn ones are removed."""
    found = {}
    for folder in state.glob("checkpoint-*"):
        number = re.fullmatch(r"checkpoint-(\d+)", folder.name)
        if number and _is_complete(folder):
            found[int(number[1])] = folder
        else:
            shutil.rmtree(folder)
    return found[max(found)] if found else None


def _is_complete(checkpoint: Path) -> bool:
    try:
        sizes = json.loads((checkpoint / SEAL).read_text())
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False
