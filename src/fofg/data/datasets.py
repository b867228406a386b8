"""Datasets of problems as streams of rows in verl's convention, and as files."""

import json
import os
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa
from tqdm import tqdm

from fofg.data import files, schemas
from fofg.errors import UserError
from fofg.stages import CreateProblems
from fofg.tasks.strings import balanced_sampler, pools, published_sampler
from fofg.tasks.strings.problem import Problem
from fofg.tasks.strings.prompts import prompt_text

DATA_SOURCE = "string_task"
ABILITY = "composition"
BATCH_ROWS = 2048

_quote = json.JSONEncoder(ensure_ascii=False).encode


def problems(spec: CreateProblems) -> Iterator[Problem]:
    """Problems ``first`` ... ``first + rows - 1`` of the spec's split, by the sampler of its settings; the same ones each time.

    Raises UserError if the settings don't allow so many problems, or for a later part of a set of several levels: which rows are of
    which level depends on the number of all rows.
    """
    low, high = spec.levels
    if spec.first and low != high:
        raise UserError(f"datasets.{spec.dataset}.levels: {low} to {high}, but only a set of one level can be made in parts")
    shares = pools.shares(spec.levels, spec.first + spec.rows)
    pool = pools.pool(spec.stage, spec.split, spec.problems.sampler)
    if spec.problems.sampler == "paper":
        made = published_sampler.sample(shares, pool, spec.problems)
    else:
        made = balanced_sampler.sample(shares, pool, spec.dataset, spec.split, spec.problems)
    return islice(made, spec.first, None)


def ground_truth(problem: Problem) -> str:
    """JSON text with ref_input, ref_output and expression (``func_N`` names)."""
    expression = _quote(problem.expression.text())
    return f'{{"ref_input": {_quote(problem.input)}, "ref_output": {_quote(problem.output)}, "expression": {expression}}}'


def batches(spec: CreateProblems) -> Iterator[pa.RecordBatch]:
    """The spec's problems as record batches of ``schemas.PROBLEMS``; Stage 1's prompts show the definitions of their functions.

    Raises UserError as ``problems`` does.
    """
    stream = problems(spec)
    first = spec.first
    while block := list(islice(stream, BATCH_ROWS)):
        yield _batch(block, first, spec.split, spec.problems.template, shown=spec.stage == 1)
        first += len(block)


def _batch(block: list[Problem], first: int, split: str, template: str, shown: bool) -> pa.RecordBatch:
    """Rows ``first`` ... of a split, column by column (a row at a time is several times slower)."""
    rows = len(block)
    expressions = [problem.expression for problem in block]
    texts = [expression.text() for expression in expressions]
    functions = [expression.functions() for expression in expressions]
    contents = [
        prompt_text(template, text, problem.input, tuple(used) if shown else ())
        for text, problem, used in zip(texts, block, functions)
    ]
    messages = _struct(schemas.MESSAGES.value_type, [["user"] * rows, contents])
    truths = [ground_truth(problem) for problem in block]
    info = [
        range(first, first + rows),
        [split] * rows,
        [problem.level for problem in block],
        [expression.depth for expression in expressions],
        [expression.calls for expression in expressions],
        texts,
        functions,
    ]
    columns = [
        pa.array([DATA_SOURCE] * rows, pa.string()),
        pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), messages, type=schemas.MESSAGES),
        pa.array([ABILITY] * rows, pa.string()),
        _struct(schemas.PROBLEMS.field("reward_model").type, [["rule"] * rows, truths]),
        _struct(schemas.PROBLEMS.field("extra_info").type, info),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schemas.PROBLEMS)


def _struct(kind: pa.StructType, columns: list) -> pa.StructArray:
    return pa.StructArray.from_arrays([pa.array(values, field.type) for values, field in zip(columns, kind)], fields=list(kind))


def write(path: str | os.PathLike, spec: CreateProblems) -> int:
    """Writes a split, or the part of it that the spec names, as a Parquet file of ``schemas.PROBLEMS``, whole or not at all.

    Returns the number of rows.
    """
    with tqdm(total=spec.rows, desc=f"{spec.dataset} {spec.split}", unit="problem") as bar:

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in batches(spec):
                yield batch
                bar.update(batch.num_rows)

        return files.write_parquet(path, schemas.PROBLEMS, counted())
