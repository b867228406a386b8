"""Chunks of problems for iterated rejection fine-tuning: all rows, shuffled or in file order, cut into equal parts (paper §4.2)."""

import os
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fofg.data.files import count_rows, write_parquet
from fofg.data.reading import problem_batches
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError

BATCH_ROWS = 4096


def members(rows: int, size: int, seed: int | None, iteration: int) -> list[int]:
    """Return the row numbers [size] of a chunk: rows ``iteration * size`` ... of all ``rows``, sorted by a hash of seed and row.

    Without a seed, rows are in file order. Chunks share no row, a chunk does not depend on the number of chunks, and the hash
    gives the same chunks with every version of every library.
    """

    def position(row: int) -> bytes:
        return blake2b(f"{seed}/{row}".encode(), digest_size=8).digest()

    order = range(rows) if seed is None else sorted(range(rows), key=position)
    return list(order[iteration * size : (iteration + 1) * size])


def write(
    path: str | os.PathLike, problems: str | os.PathLike, iteration: int, size: int, seed: int | None, iterations: int
) -> int:
    """Write the chunk of an iteration from a problem file (fofg.data.schemas.PROBLEMS). Return its number of rows, ``size``.

    ``iterations``: total number of chunks. Only the chunk and one batch of the file are in memory.
    Raises UserError if the file is damaged or has fewer rows than all chunks need.
    """
    rows = count_rows(problems)
    needed = max(iterations, iteration + 1) * size
    if needed > rows:
        raise UserError(
            f"{problems}: has {rows} problems, but {needed // size} chunks of {size} need {needed}; lower "
            "stage2.rft.num_iterations or stage2.rft.examples_per_iteration, or make more (datasets.NAME.train, NAME being "
            "stage2.rft.dataset)"
        )
    numbers = np.array(members(rows, size, seed, iteration))
    order = np.argsort(numbers)
    in_file_order = pa.Table.from_batches(_rows(problems, numbers[order], rows), PROBLEMS)
    chunk = in_file_order.take(np.argsort(order)).combine_chunks()
    return write_parquet(path, PROBLEMS, chunk.to_batches(BATCH_ROWS))


def _rows(problems: str | os.PathLike, numbers: np.ndarray, total: int) -> list[pa.RecordBatch]:
    """Read the rows of the given numbers, which ascend."""
    batches, first = [], 0
    with tqdm(total=total, desc="chunk", unit="problem") as bar:
        for batch in problem_batches(problems, batch_size=BATCH_ROWS):
            low, high = np.searchsorted(numbers, (first, first + batch.num_rows))
            batches.append(batch.take(pa.array(numbers[low:high] - first)))
            first += batch.num_rows
            bar.update(batch.num_rows)
    return batches
