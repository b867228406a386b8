"""Merge training examples of several files into one: exact counts, a column that says where each row is from, a seeded order."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fofg.data.files import count_rows, in_batches, write_parquet
from fofg.data.messages import with_messages
from fofg.data.reading import example_rows
from fofg.data.schemas import EXAMPLES, MERGED, RFT
from fofg.errors import UserError

BATCH_ROWS = 4096


def merge(files: Mapping[str, str | Path], counts: Mapping[str, int | None], seed: int, output: str | Path) -> dict[str, int]:
    """Write the examples of some files (source -> file) as ``schemas.MERGED``, shuffled. Return source -> rows.

    ``counts``: source -> number of its examples, drawn without replacement; None: all. The draw from a file depends on ``seed``,
    the file's number of rows, and its position alone. Raises UserError if a file is damaged or has fewer examples.
    """
    parts = [
        _part(path, source, counts[source], np.random.default_rng((seed, position)))
        for position, (source, path) in enumerate(files.items())
    ]
    rows = pa.concat_tables(parts).combine_chunks()  # else every batch below would join them again
    order = np.random.default_rng((seed, len(files))).permutation(rows.num_rows)
    write_parquet(output, MERGED, _batches(rows, order))
    return {source: part.num_rows for source, part in zip(files, parts)}


def _part(path: str | Path, source: str, count: int | None, generator: np.random.Generator) -> pa.Table:
    """Return the examples of one file, or ``count`` of them, with ``source`` and their row numbers."""
    total = count_rows(path)
    if count is not None and count > total:
        raise UserError(f"{path}: {total} examples, fewer than {count}; lower mixture.{source}, or make more")
    rows = tqdm(example_rows(path, EXAMPLES), total=total, desc=f"merge {source}", unit="example")
    examples = pa.Table.from_batches([pa.RecordBatch.from_pylist(block, EXAMPLES) for block in in_batches(rows)], EXAMPLES)
    chosen = np.arange(total) if count is None else np.sort(generator.choice(total, count, replace=False))
    columns = [pa.array([source] * len(chosen), pa.string()), pa.array(chosen, pa.int64())]
    return pa.table([*examples.take(chosen).columns, *columns], names=[*EXAMPLES.names, "source", "source_row"])


def _batches(rows: pa.Table, order: np.ndarray) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(order), BATCH_ROWS):
        (batch,) = rows.take(order[first : first + BATCH_ROWS]).combine_chunks().to_batches()
        examples = with_messages(pa.RecordBatch.from_arrays([batch.column(name) for name in EXAMPLES.names], schema=EXAMPLES))
        sources = [batch.column(name) for name in MERGED.names[len(RFT) :]]
        yield pa.RecordBatch.from_arrays([*examples.columns, *sources], schema=MERGED)
