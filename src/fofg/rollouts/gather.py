"""Join the rollout files of all shards."""

import json
import os
from collections.abc import Iterator, Sequence

import pyarrow as pa

from fofg.data.files import open_parquet, read_batches, write_parquet
from fofg.data.schemas import ROLLOUTS, ROLLOUTS_METADATA
from fofg.errors import UserError


def gather(shards: Sequence[str | os.PathLike], expected: int, output: str | os.PathLike) -> int:
    """Write the shards' rows in the order of the problems, one batch in memory at a time. Return the number of rows.

    Raises UserError unless there are ``expected`` shards with equal settings and model that together hold problems 0, 1, 2 ... of
    the file, each once.
    """
    if len(shards) != expected:
        raise UserError(f"{output}: {len(shards)} shards given, {expected} expected; give all of them")
    metadata = {path: _metadata(path) for path in shards}
    ordered = sorted(shards, key=lambda path: metadata[path]["spec"]["first"])
    _check(ordered, metadata)
    common = _shared(metadata[ordered[0]])
    return write_parquet(output, ROLLOUTS.with_metadata({ROLLOUTS_METADATA: json.dumps(common)}), _batches(ordered))


def _metadata(path: str | os.PathLike) -> dict:
    with open_parquet(path, ROLLOUTS.names) as file:
        values = (file.schema_arrow.metadata or {}).get(ROLLOUTS_METADATA)
        rows = file.metadata.num_rows
    if values is None:
        raise UserError(f"{path}: not a shard of generate_rollouts.py (no {ROLLOUTS_METADATA.decode()!r} metadata); make it again")
    values = json.loads(values)
    expected = values["spec"].get("rows")
    if "first" not in values["spec"] or (expected is not None and expected != rows):
        raise UserError(f"{path}: has {rows} problems, expected {expected}; make it again")
    return values | {"rows": rows}


def _shared(values: dict) -> dict:
    """Return the part of a shard's metadata that all shards share."""
    spec = _without_rows(values["spec"])
    if "problems" in spec:
        spec["problems"] = _without_rows(spec["problems"])
    return {"spec": spec, "model": values["model"]}


def _without_rows(spec: dict) -> dict:
    return {key: value for key, value in spec.items() if key not in ("first", "rows")}


def _check(ordered: list, metadata: dict) -> None:
    position = 0
    for path in ordered:
        first = metadata[path]["spec"]["first"]
        if first != position:
            raise UserError(f"{path}: begins at problem {first}, expected {position}; a shard is missing or there twice")
        if _shared(metadata[path]) != _shared(metadata[ordered[0]]):
            raise UserError(f"{path}: made with other settings or another model than {ordered[0]}; make both again")
        position += metadata[path]["rows"]


def _batches(ordered: list) -> Iterator[pa.RecordBatch]:
    seen: set[int] = set()
    for path in ordered:
        for batch in read_batches(path, ROLLOUTS, batch_size=1000):
            indexes = batch.column("extra_info").field("index").to_pylist()
            repeated = seen.intersection(indexes)
            if repeated:
                raise UserError(f"{path}: extra_info.index {min(repeated)} is in an earlier shard too; make them unique")
            seen.update(indexes)
            yield batch
