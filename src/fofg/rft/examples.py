"""Turn chosen responses into training rows: rebuild prompts, cut blocks of equal size, pack conversations."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from fofg.data.schemas import EXAMPLES, MESSAGES
from fofg.rft.packing import join_turns, plan_turns
from fofg.tasks.task import read

#: Examples, and the problem of each.
Part = tuple[pa.RecordBatch, np.ndarray]


def rows(batch: pa.RecordBatch, samples: np.ndarray, chosen: np.ndarray, template: str | None, where: str) -> pa.RecordBatch:
    """Return one row (schemas.EXAMPLES) per chosen response of a rollout batch.

    ``samples`` [problems]: their number of responses; ``chosen`` [responses in the batch]: a mask. ``template``: rebuilds the
    prompts without hints; None keeps them.
    """
    parents = np.repeat(np.arange(batch.num_rows), samples)[chosen]
    problems, of_problem = np.unique(parents, return_inverse=True)
    columns = {name: batch.column(name).take(pa.array(parents)) for name in EXAMPLES.names if name in batch.schema.names}
    columns["response"] = batch.column("responses").flatten().filter(pa.array(chosen))
    if template is not None:
        chosen_rows = batch.select(["data_source", "reward_model", "extra_info"]).take(pa.array(problems)).to_pylist()
        columns["prompt"] = _prompts(template, chosen_rows, where).take(pa.array(of_problem))
    return pa.RecordBatch.from_arrays([columns[name] for name in EXAMPLES.names], schema=EXAMPLES)


def _prompts(template: str, rows: list[dict], where: str) -> pa.ListArray:
    problems = [read(row, where) for row in rows]
    return pa.array([task.prompt(problem, template, hints=False) for task, problem in problems], MESSAGES)


def blocks(batches: Iterable[Part], size: int) -> Iterator[Part]:
    """Regroup batches of examples into blocks of ``size`` (the last may be smaller)."""
    waiting: list[Part] = []
    count = 0
    for batch, groups in batches:
        while count + batch.num_rows >= size:
            cut = size - count
            yield _join([*waiting, (batch.slice(0, cut), groups[:cut])])
            batch, groups, waiting, count = batch.slice(cut), groups[cut:], [], 0
        if batch.num_rows:
            waiting.append((batch, groups))
            count += batch.num_rows
    if waiting:
        yield _join(waiting)


def _join(parts: list[Part]) -> Part:
    return pa.concat_batches([batch for batch, _ in parts]), np.concatenate([groups for _, groups in parts])


def conversations(blocks: Iterable[Part], max_turns: int, seed: int, histogram: dict[int, int]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of train.parquet, one block at a time; count in ``histogram`` the examples by number of turns.

    With one turn, blocks stay as they are. With more, each block is shuffled by ``seed`` and its number: this separates responses
    to the same problem, and keeps memory bounded.
    """
    for number, (block, groups) in enumerate(blocks):
        if max_turns == 1:
            turns, packed = np.ones(block.num_rows, dtype=np.int64), block
        else:
            order, ends = plan_turns(groups, max_turns, np.random.default_rng((seed, 1, number)))
            turns, packed = np.diff(ends, prepend=0), join_turns(block, order, ends)
        for count, examples in zip(*np.unique(turns, return_counts=True)):
            histogram[int(count)] = histogram.get(int(count), 0) + int(examples)
        yield packed
