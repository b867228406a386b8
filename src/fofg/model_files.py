"""Files of a model folder in Hugging Face format, and their digest, which depends on their bytes, not their path."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from fofg.data.files import write_json

#: Weights, whole or in shards, with the index of shards.
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")
INDEX = "model.safetensors.index.json"
#: Everything of a model but its weights: configuration, tokenizer, chat template, code.
SETTINGS = ("*.json", "*.jinja", "*.model", "*.txt", "*.py")
#: Files that the workflow adds to model folders.
RECORDS = {"source.json", "spec.json", "validation.json"}
#: Weight files up to this size are read whole for their digest, larger ones in as many evenly spaced bytes.
READ_WHOLE = 64 << 20
_BLOCKS = 256


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files, including the index of shards."""
    return sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))


def settings_files(folder: Path) -> list[Path]:
    """Return a model's files other than weights."""
    paths = {path for pattern in SETTINGS for path in folder.glob(pattern)}
    return sorted(path for path in paths - set(weight_files(folder)) if path.name not in RECORDS)


def copy_settings(source: Path, target: Path) -> None:
    """Copy a model's files other than weights."""
    target.mkdir(parents=True, exist_ok=True)
    for path in settings_files(source):
        shutil.copyfile(path, target / path.name)


def digest(folder: Path, cache: str | os.PathLike | None = None) -> str:
    """Return the digest of the files that determine a model's results: configuration, tokenizer, template, weights.

    ``cache``: JSON file with digests of files by path, size and modification time, so that a model is read only once.
    """
    known = {}
    if cache is not None:
        with suppress(OSError, ValueError):
            known = json.loads(Path(cache).read_text(encoding="utf-8"))
    digests, total = {}, hashlib.blake2b(digest_size=16)
    for path in sorted([*settings_files(folder), *weight_files(folder)]):
        status = path.stat()
        key = f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}"
        digests[key] = known.get(key) or _file_digest(path)
        total.update(f"{path.name}\n{digests[key]}\n".encode())
    if cache is not None and not digests.keys() <= known.keys():
        with suppress(OSError):  # a folder that can't be written; then the model is read again next time
            write_json(cache, known | digests)
    return total.hexdigest()


def _file_digest(path: Path) -> str:
    size = path.stat().st_size
    total = hashlib.blake2b(str(size).encode(), digest_size=16)
    length, starts = size, [0]
    if size > READ_WHOLE:
        length = READ_WHOLE // _BLOCKS
        starts = [(size - length) * number // (_BLOCKS - 1) for number in range(_BLOCKS)]
    with open(path, "rb") as file:
        for start in starts:
            file.seek(start)
            total.update(file.read(length))
    return total.hexdigest()
