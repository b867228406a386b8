"""Chunks of problems for iterated rejection fine-tuning: all rows, shuffled or in file order, cut into equal parts (paper §4.2)."""

import os
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fofg.data.files import count_rows, read_batches, write_parquet
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError

BATCH_ROWS = 4096


def members(rows: int, size: int, seed: int | None, iteration: int) -> list[int]:
    """Row numbers [size] of a chunk, in its order: rows ``iteration * size`` ... of all ``rows``, sorted by a hash of seed and row.

    Without a seed, in file order. So chunks share no row, a chunk does not depend on how many are cut, and every version of every
    library cuts the same ones.
    """

    def place(row: int) -> bytes:
        return blake2b(f"{seed}/{row}".encode(), digest_size=8).digest()

    order = range(rows) if seed is None else sorted(range(rows), key=place)
    return list(order[iteration * size : (iteration + 1) * size])


def write(
    path: str | os.PathLike, problems: str | os.PathLike, iteration: int, size: int, seed: int | None, iterations: int
) -> int:
    """Write the chunk of an iteration from a problem file (fofg.data.schemas.PROBLEMS); return its rows, always ``size``.

    ``iterations``: chunks that will be cut in all. Only the chunk and a batch of the file are in memory.
    Raises UserError if the file is bad or has fewer rows than all chunks need.
    """
    rows = count_rows(problems)
    needed = max(iterations, iteration + 1) * size
    if needed > rows:
        raise UserError(
            f"{problems}: has {rows} problems, but {needed // size} chunks of {size} need {needed}; lower "
            "stage2.rft.num_iterations or stage2.rft.examples_per_iteration, or make more (datasets.NAME.train, NAME being "
            "stage2.rft.dataset)"
        )
    wanted = np.array(members(rows, size, seed, iteration))
    order = np.argsort(wanted)
    kept = pa.Table.from_batches(_rows(problems, wanted[order], rows), PROBLEMS)
    chunk = kept.take(np.argsort(order)).combine_chunks()
    return write_parquet(path, PROBLEMS, chunk.to_batches(BATCH_ROWS))


def _rows(problems: str | os.PathLike, wanted: np.ndarray, total: int) -> list[pa.RecordBatch]:
    """The rows of the ascending numbers ``wanted``."""
    found, first = [], 0
    with tqdm(total=total, desc="chunk", unit="problem") as bar:
        for batch in read_batches(problems, PROBLEMS, BATCH_ROWS):
            low, high = np.searchsorted(wanted, (first, first + batch.num_rows))
            found.append(batch.select(PROBLEMS.names).take(pa.array(wanted[low:high] - first)).cast(PROBLEMS))
            first += batch.num_rows
            bar.update(batch.num_rows)
    return found
