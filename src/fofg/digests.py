"""Digests of model folders: the bytes decide, not where they lie."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from fofg.data.files import write_json

#: Files of ours that lie in model folders and are not the model's.
OURS = {"source.json", "spec.json", "validation.json"}
#: Weight files up to this size are read whole for their digest; of larger ones, so much of evenly spaced blocks.
READ_WHOLE = 64 << 20
_BLOCKS = 256
_SUFFIXES = (".json", ".jinja", ".model", ".safetensors", ".txt", ".py")


def digest(folder: Path, cache: str | os.PathLike | None = None) -> str:
    """Return the digest of the files that decide a model's results: configuration, tokenizer, template, weights.

    ``cache``: JSON file that keeps digests of files by path, size and time of change, so that a model is read once.
    """
    known = {}
    if cache is not None:
        with suppress(OSError, ValueError):
            known = json.loads(Path(cache).read_text(encoding="utf-8"))
    found, total = {}, hashlib.blake2b(digest_size=16)
    for path in sorted(folder.iterdir()):
        if path.suffix in _SUFFIXES and path.name not in OURS:
            status = path.stat()
            key = f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}"
            found[key] = known.get(key) or _file_digest(path)
            total.update(f"{path.name}\n{found[key]}\n".encode())
    if cache is not None and not found.keys() <= known.keys():
        with suppress(OSError):  # a folder that can't be written; then the model is read again next time
            write_json(cache, known | found)
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
