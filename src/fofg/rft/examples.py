"""Training rows from chosen responses: prompts rebuilt, rows taken, blocks of even size, conversations."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from fofg.data.schemas import MESSAGES, RFT
from fofg.rft.packing import converse, plan
from fofg.tasks.task import read

#: Rows and what they belong to: examples with the problem of each.
Part = tuple[pa.RecordBatch, np.ndarray]


def rows(batch: pa.RecordBatch, samples: np.ndarray, chosen: np.ndarray, template: str | None, place: str) -> pa.RecordBatch:
    """RFT rows of the chosen responses of a rollout batch.

    ``samples`` [problems]: responses of each; ``chosen`` [responses in the batch]: a mask. ``template``: builds the prompts anew
    without definitions; None takes them as they stand.
    """
    parents = np.repeat(np.arange(batch.num_rows), samples)[chosen]
    problems, of_problem = np.unique(parents, return_inverse=True)
    columns = {name: batch.column(name).take(pa.array(parents)) for name in RFT.names if name in batch.schema.names}
    columns["response"] = batch.column("responses").flatten().filter(pa.array(chosen))
    if template is not None:
        chosen_rows = batch.select(["data_source", "reward_model", "extra_info"]).take(pa.array(problems)).to_pylist()
        columns["prompt"] = _prompts(template, chosen_rows, place).take(pa.array(of_problem))
    return pa.RecordBatch.from_arrays([columns[name] for name in RFT.names], schema=RFT)


def _prompts(template: str, rows: list[dict], place: str) -> pa.ListArray:
    problems = [read(row, place) for row in rows]
    return pa.array([task.prompt(problem, template, hints=False) for task, problem in problems], MESSAGES)


def blocks(parts: Iterable[Part], size: int) -> Iterator[Part]:
    """The same examples in blocks of ``size`` (the last may be smaller), however they were cut before."""
    waiting: list[Part] = []
    count = 0
    for batch, groups in parts:
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


def conversations(parts: Iterable[Part], most_turns: int, seed: int, histogram: dict[int, int]) -> Iterator[pa.RecordBatch]:
    """The rows of train.parquet, a block at a time; counts in ``histogram`` how many have 1, 2, ... turns.

    One turn: the blocks as they are. More: each block is shuffled by ``seed`` and its place in the file, so that neighbors land
    apart and memory stays bounded.
    """
    for number, (block, groups) in enumerate(parts):
        if most_turns == 1:
            turns, talk = np.ones(block.num_rows, dtype=np.int64), block
        else:
            order, ends = plan(groups, most_turns, np.random.default_rng((seed, 1, number)))
            turns, talk = np.diff(ends, prepend=0), converse(block, order, ends)
        for count, examples in zip(*np.unique(turns, return_counts=True)):
            histogram[int(count)] = histogram.get(int(count), 0) + int(examples)
        yield talk
