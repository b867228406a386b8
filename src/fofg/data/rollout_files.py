"""Read rollout files one batch at a time, and work on batches in several processes."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from fofg.data.files import conform, damaged_parquet, leave_out_pandas, open_parquet
from fofg.data.reading import OPTIONAL, completed
from fofg.data.schemas import ROLLOUTS
from fofg.errors import UserError
from fofg.runtime.processes import exit_with

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH_BYTES = 16 << 20
#: Minimum size of the row groups that a process works on at a time.
SPAN_BYTES = 32 << 20
MOST_BATCH_ROWS = 512
#: Files up to this size are graded faster than worker processes start.
ALONE_BYTES = 32 << 20


class Span(NamedTuple):
    """Consecutive row groups of a rollout file, the first problem of which is ``first``; read ``batch_rows`` at a time."""

    path: str
    groups: list[int]
    first: int
    batch_rows: int

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches in order, completed. Raises UserError where the file is damaged, or a value is of another kind."""
        schema, first = pa.schema([ROLLOUTS.field(name) for name in columns]), self.first
        # Read row groups piece by piece, not whole: some writers put everything in one.
        with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as file:
            try:
                present = [name for name in columns if name in file.schema_arrow.names]
                for batch in file.iter_batches(self.batch_rows, row_groups=self.groups, columns=present):
                    yield completed(conform(batch, schema, self.path, first), self.path, first)
                    first += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise damaged_parquet(self.path, error) from None


class RolloutFile:
    """A rollout file (fofg.data.schemas.ROLLOUTS; others' may lack columns in OPTIONAL).

    Raises UserError if it is missing, truncated, empty or of another schema.

    ``rows``: problems; ``batch_rows``: problems per batch, by default about BATCH_BYTES of text.
    """

    def __init__(self, path: str | Path, batch_rows: int | None = None):
        self.path = path
        with open_parquet(path, [name for name in ROLLOUTS.names if name not in OPTIONAL]) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        self._sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        self.rows, self.bytes = sum(rows for rows, _ in self._sizes), sum(size for _, size in self._sizes)
        if not self.rows:
            raise UserError(f"{path}: holds no problem; make the rollouts again")
        self.batch_rows = batch_rows or int(np.clip(BATCH_BYTES * self.rows // max(1, self.bytes), 1, MOST_BATCH_ROWS))

    def batches(self, doing: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the file's batches in order, with a progress bar. Raises UserError where the file is damaged."""
        whole = Span(str(self.path), list(range(len(self._sizes))), 0, self.batch_rows)
        with tqdm(total=self.rows, desc=doing, unit=" problems") as bar:
            for batch in whole.batches(columns or ROLLOUTS.names):
                yield batch
                bar.update(batch.num_rows)

    def spans(self) -> Iterator[Span]:
        """Yield the file's row groups in order, in spans of SPAN_BYTES or more, each for one process to read."""
        groups: list[int] = []
        first = rows = size = 0
        for number, (group_rows, group_bytes) in enumerate(self._sizes):
            groups, rows, size = [*groups, number], rows + group_rows, size + group_bytes
            if size >= SPAN_BYTES or number == len(self._sizes) - 1:
                yield Span(str(self.path), groups, first, self.batch_rows)
                groups, first, rows, size = [], first + rows, 0, 0


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Map a function over items in ``workers`` processes, and yield the results in order; at most two items per process wait.

    ``function`` and the items must be picklable. With one worker, no process is started. Errors of ``function`` are raised here.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError("a worker process was killed, most likely for lack of memory; use fewer --workers") from None
        finally:
            for future in waiting:
                future.cancel()


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items, computing the next one in a thread meanwhile, so that reading and writing Parquet overlap."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(list, islice(iterator, 1))
        while item := upcoming.result():
            upcoming = pool.submit(list, islice(iterator, 1))
            yield item[0]


def _start_worker() -> None:
    """Make a worker exit with its parent: if that was killed, it would wait for work forever."""
    leave_out_pandas()
    if (parent := multiprocessing.parent_process()) and parent.pid:
        exit_with(parent.pid)
        if not parent.is_alive():  # killed before the watch began
            os._exit(1)
