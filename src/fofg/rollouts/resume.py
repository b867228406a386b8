"""Working state of a shard: finished batches as files, in a folder whose name covers all that they depend on."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from fofg.errors import UserError
from fofg.files import read_rows, write_parquet
from fofg.stages import GenerateRollouts

BATCH = pa.schema(
    [
        ("problem", pa.int32()),
        ("responses", pa.list_(pa.string())),
        ("finish_reasons", pa.list_(pa.string())),
        ("token_counts", pa.list_(pa.int32())),
    ]
)
#: Weight files up to this size are read whole for their digest; of larger ones, so much of evenly spaced blocks.
READ_WHOLE = 64 << 20
_BLOCKS = 256


def model_digest(folder: Path) -> str:
    """Digest of the files that decide a model's results: configuration, tokenizer, template, weights."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".jinja", ".model", ".safetensors", ".txt"))
    digest = hashlib.blake2b(digest_size=16)
    for name in names:
        digest.update(f"{name}\n{_file_digest(folder / name)}\n".encode())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    length, starts = size, [0]
    if size > READ_WHOLE:
        length = READ_WHOLE // _BLOCKS
        starts = [(size - length) * number // (_BLOCKS - 1) for number in range(_BLOCKS)]
    with open(path, "rb") as file:
        for start in starts:
            file.seek(start)
            digest.update(file.read(length))
    return digest.hexdigest()


def fingerprint(spec: GenerateRollouts, identity: dict, model: str, rows: list[dict]) -> str:
    """Digest of a shard's spec, engine (``Engine.identity``), model digest and problem rows."""
    digest = hashlib.sha256(f"{spec.text()}\n{json.dumps(identity, sort_keys=True)}\n{model}\n".encode())
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()[:32]


class State:
    """Batches of one shard on disk, each written whole or not at all: ``FOLDER/<fingerprint>/batch-00000.parquet``."""

    def __init__(self, folder: str | os.PathLike, key: str):
        self.folder = Path(folder) / key

    def _path(self, batch: int) -> Path:
        return self.folder / f"batch-{batch:05d}.parquet"

    def save(self, batch: int, rows: list[dict]) -> None:
        """``rows``: BATCH."""
        write_parquet(self._path(batch), BATCH, [rows])

    def load(self, batches: list[list[int]]) -> Iterator[tuple[int, list[dict]]]:
        """(batch, rows) of every batch that is whole. ``batches``: the problems of each; a damaged file counts as unfinished."""
        for batch, problems in enumerate(batches):
            if not self._path(batch).exists():
                continue
            try:
                rows = list(read_rows(self._path(batch), BATCH))
            except UserError:
                continue
            if [row["problem"] for row in rows] == problems:
                yield batch, rows

    def remove(self) -> None:
        """Removes the folder, and the one around it if nothing else is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.parent.rmdir()
        except OSError:
            return
