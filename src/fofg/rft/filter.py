"""Decide which responses to keep, and record why the others are dropped (paper §3.2)."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fofg.config import Selection
from fofg.data.rollout_files import Span
from fofg.errors import UserError
from fofg.tasks.task import AnswerRule, Outcome, Problem, Task, read

_PROBLEM_COLUMNS = ["data_source", "reward_model", "extra_info"]
_RESPONSE_COLUMNS = ["responses", "finish_reasons", "token_counts"]


class Decision(IntEnum):
    """Why a response is kept or dropped. If several reasons apply, the first in this order counts."""

    CUT_AT_LIMIT = 0
    NO_ANSWER = 1
    WRONG = 2
    PROBLEM_ALL_SOLVED = 3
    OVER_TOKEN_LIMIT = 4
    DUPLICATE = 5
    OVER_PROBLEM_LIMIT = 6
    KEPT = 7


_DECISIONS = {Outcome.CORRECT: Decision.KEPT, Outcome.WRONG: Decision.WRONG, Outcome.NO_ANSWER: Decision.NO_ANSWER}


class Filtered(NamedTuple):
    """Decisions on some problems' responses.

    ``decisions`` [responses] uint8; [problems]: ``samples`` (responses), ``correct`` among them, ``keys`` (hashes of the ground
    truths). By skill: ``problems`` that use it, ``kept_problems``, ``kept_responses``; ``names``: skill -> name in tables.
    ``kept_bytes``: text of the kept responses.
    """

    decisions: np.ndarray
    samples: np.ndarray
    correct: np.ndarray
    keys: np.ndarray
    names: dict[str, str]
    problems: Counter[str]
    kept_problems: Counter[str]
    kept_responses: Counter[str]
    kept_bytes: int


def filter_span(span: Span, selection: Selection, rule: AnswerRule) -> list[Filtered]:
    """Grade a part of a rollout file, one batch at a time, and apply the selection rules.

    A response cut at the token limit is dropped, or with ``keep_truncated`` graded like any other, as the public code does. A
    problem whose samples are all correct is dropped, on grades alone; then the token limit, duplicates and the limit per problem
    apply in this order. Raises UserError for rows that are no rollouts; never for the text of a response.
    """
    results, first = [], span.first
    for batch in span.batches([*_PROBLEM_COLUMNS, *_RESPONSE_COLUMNS]):
        where = f"{span.path}: problems {first} to {first + batch.num_rows - 1}"
        try:
            rows = batch.select(_PROBLEM_COLUMNS).to_pylist()
            problems = [read(row, f"{span.path}: problem {number}") for number, row in enumerate(rows, first)]
            results.append(_filter(batch, problems, selection, rule, where))
        except (UnicodeDecodeError, pa.ArrowException):
            raise UserError(f"{where}: a text is not UTF-8; make the rollouts again") from None
        first += batch.num_rows
    return results


def _filter(
    batch: pa.RecordBatch, problems: list[tuple[Task, Problem]], selection: Selection, rule: AnswerRule, where: str
) -> Filtered:
    samples = _samples(batch, where)
    texts = batch.column("responses").flatten().to_numpy(zero_copy_only=False).tolist()
    finished = pc.fill_null(pc.equal(batch.column("finish_reasons").flatten(), "stop"), False).to_numpy(zero_copy_only=False)
    parents = np.repeat(np.arange(batch.num_rows), samples)
    decisions = _grade(texts, [problems[i] for i in parents.tolist()], finished.tolist(), selection, rule)
    correct = np.bincount(parents[decisions == Decision.KEPT], minlength=batch.num_rows)
    decisions[(decisions == Decision.KEPT) & (correct == samples)[parents]] = Decision.PROBLEM_ALL_SOLVED
    counts = batch.column("token_counts").flatten()
    if selection.max_tokens is not None and counts.null_count:
        raise UserError(f"{where}: a response has no token count, which max_tokens of the selection needs; set it to null")
    tokens = pc.fill_null(counts, 0).to_numpy(zero_copy_only=False)
    _apply_limits(decisions, parents, texts, tokens, selection)
    kept_counts = np.bincount(parents[decisions == Decision.KEPT], minlength=batch.num_rows)
    lengths = pc.fill_null(pc.binary_length(batch.column("responses").flatten()), 0).to_numpy(zero_copy_only=False)
    result = Filtered(
        decisions,
        samples,
        correct,
        np.array([_key(problem.truth) for _, problem in problems], dtype=np.uint64),
        {},
        Counter(),
        Counter(),
        Counter(),
        int(lengths[decisions == Decision.KEPT].sum()),
    )
    for (task, problem), count in zip(problems, kept_counts.tolist(), strict=True):
        result.names.update(task.skills)
        for skill in task.count_skills(problem):
            result.problems[skill] += 1
            result.kept_problems[skill] += count > 0
            result.kept_responses[skill] += count
    return result


def _key(truth: str) -> int:
    return int.from_bytes(hashlib.blake2b(truth.encode(), digest_size=8).digest(), "big")


def _samples(batch: pa.RecordBatch, where: str) -> np.ndarray:
    counts = [
        pc.fill_null(pc.list_value_length(batch.column(name)), 0).to_numpy(zero_copy_only=False) for name in _RESPONSE_COLUMNS
    ]
    if any((counts[0] != other).any() for other in counts[1:]):
        raise UserError(f"{where}: responses, finish_reasons and token_counts differ in length; make the rollouts again")
    return counts[0].astype(np.int64)


def _grade(
    texts: Sequence[str | None],
    problems: Sequence[tuple[Task, Problem]],
    finished: Sequence[bool],
    selection: Selection,
    rule: AnswerRule,
) -> np.ndarray:
    decisions = []
    for text, (task, problem), whole in zip(texts, problems, finished, strict=True):
        if whole or selection.keep_truncated:
            decision = _DECISIONS[task.grade(problem, text or "", False, rule)]
        else:
            decision = Decision.CUT_AT_LIMIT
        # A response that was cut before its answer lacks one for that reason, whether or not it is graded.
        decisions.append(decision if whole or decision != Decision.NO_ANSWER else Decision.CUT_AT_LIMIT)
    return np.array(decisions, dtype=np.uint8)


def _apply_limits(
    decisions: np.ndarray, parents: np.ndarray, texts: Sequence[str | None], tokens: np.ndarray, selection: Selection
) -> None:
    if selection.max_tokens is not None:
        decisions[(decisions == Decision.KEPT) & (tokens > selection.max_tokens)] = Decision.OVER_TOKEN_LIMIT
    if selection.drop_duplicates:
        distinct: set[tuple[int, str | None]] = set()
        for i in np.flatnonzero(decisions == Decision.KEPT).tolist():
            response = (int(parents[i]), texts[i])
            if response in distinct:
                decisions[i] = Decision.DUPLICATE
            distinct.add(response)
    if selection.max_per_problem is not None:
        kept = np.flatnonzero(decisions == Decision.KEPT)
        owners = parents[kept]
        rank = np.arange(len(kept)) - np.searchsorted(owners, owners)
        decisions[kept[rank >= selection.max_per_problem]] = Decision.OVER_PROBLEM_LIMIT
