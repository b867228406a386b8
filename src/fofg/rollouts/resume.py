"""Store the finished batches of a shard in a folder named by the digest of everything that they depend on."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from fofg.data.files import read_rows, write_parquet
from fofg.errors import UserError
from fofg.specs import RolloutsSpec

BATCH = pa.schema(
    [
        ("problem", pa.int32()),
        ("responses", pa.list_(pa.string())),
        ("finish_reasons", pa.list_(pa.string())),
        ("token_counts", pa.list_(pa.int32())),
    ]
)


def fingerprint(spec: RolloutsSpec, identity: dict, model: str, rows: list[dict]) -> str:
    """Return the digest of a shard's spec, engine (``Engine.identity``), model digest and problem rows."""
    digest = hashlib.sha256(f"{spec.text()}\n{json.dumps(identity, sort_keys=True)}\n{model}\n".encode())
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()[:32]


class State:
    """Finished batches of one shard on disk: ``FOLDER/<fingerprint>/<first problem>.parquet``."""

    def __init__(self, folder: str | os.PathLike, key: str):
        self.folder = Path(folder) / key

    def save(self, rows: list[dict]) -> None:
        """Write a batch; ``rows`` of BATCH, at least one."""
        write_parquet(self.folder / f"{rows[0]['problem']:08d}.parquet", BATCH, [rows])

    def load(self) -> Iterator[dict]:
        """Yield the rows of every complete batch; a damaged file counts as unfinished."""
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                rows = list(read_rows(path, BATCH))
            except UserError:
                continue
            yield from rows

    def remove(self) -> None:
        """Remove the folder, and its parent if that is empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()
