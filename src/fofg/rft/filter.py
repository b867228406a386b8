"""The fate of every response of a rollout batch: kept, or the reason why not (paper §3.2)."""

import hashlib
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fofg.config import Selection
from fofg.data.rollout_files import Span
from fofg.errors import UserError
from fofg.tasks.strings.answers import Rule
from fofg.tasks.strings.functions import READABLE_NAMES
from fofg.tasks.strings.grading import Outcome, score
from fofg.tasks.strings.truth import read_truth

#: What judging reads of a rollout file.
COLUMNS = ["reward_model.ground_truth", "extra_info.functions", "responses", "finish_reasons", "token_counts"]


class Fate(IntEnum):
    """Why a response is kept or dropped. One that several reasons would drop has the first of this order, KEPT last."""

    CUT_AT_LIMIT = 0
    NO_ANSWER = 1
    WRONG = 2
    PROBLEM_ALL_SOLVED = 3
    OVER_TOKEN_LIMIT = 4
    DUPLICATE = 5
    OVER_PROBLEM_LIMIT = 6
    KEPT = 7


_FATES = {Outcome.CORRECT: Fate.KEPT, Outcome.WRONG: Fate.WRONG, Outcome.NO_ANSWER: Fate.NO_ANSWER}


class Judged(NamedTuple):
    """``fates`` [responses] uint8 and ``samples``, ``correct``, ``keys`` [problems]: how many responses a problem has and how many
    are right, and a hash of its ground truth. ``exposure``: function -> problems, problems kept, responses kept.
    ``kept_bytes``: text of the kept responses."""

    fates: np.ndarray
    samples: np.ndarray
    correct: np.ndarray
    keys: np.ndarray
    exposure: dict[str, tuple[int, int, int]]
    kept_bytes: int


def judge(span: Span, selection: Selection, answer_rule: Rule) -> list[Judged]:
    """Scores a part of a file, a batch at a time, and applies the rules of selection.

    A response cut at the token limit is dropped, or with ``keep_truncated`` scored like any other, as the public code does. A
    problem whose samples are all correct is dropped, on scoring alone; the token limit, duplicates and the limit a problem then
    apply in this order to what is left. Raises UserError for rows that are no rollouts; never for the text of a response.
    """
    judged, first = [], span.first
    for batch in span.batches(COLUMNS):
        place = f"{span.path}: problems {first} to {first + batch.num_rows - 1}"
        try:
            judged.append(_judge(batch, span._replace(first=first), selection, answer_rule, place))
        except (UnicodeDecodeError, pa.ArrowException):
            raise UserError(f"{place}: a text is not UTF-8; make the rollouts again") from None
        first += batch.num_rows
    return judged


def _judge(batch: pa.RecordBatch, item: Span, selection: Selection, answer_rule: Rule, place: str) -> Judged:
    samples = _samples(batch, place)
    texts = batch.column("responses").flatten().to_numpy(zero_copy_only=False).tolist()
    raw = [text or "" for text in pc.struct_field(batch.column("reward_model"), "ground_truth").to_pylist()]
    truths = [read_truth(text, f"{item.path}: problem {item.first + i}").output for i, text in enumerate(raw)]
    finished = pc.fill_null(pc.equal(batch.column("finish_reasons").flatten(), "stop"), False).to_numpy(zero_copy_only=False)
    parents = np.repeat(np.arange(batch.num_rows), samples)
    fates = _score(texts, [truths[i] for i in parents.tolist()], finished.tolist(), selection, answer_rule)
    correct = np.bincount(parents[fates == Fate.KEPT], minlength=batch.num_rows)
    fates[(fates == Fate.KEPT) & (correct == samples)[parents]] = Fate.PROBLEM_ALL_SOLVED
    tokens = pc.fill_null(batch.column("token_counts").flatten(), 0).to_numpy(zero_copy_only=False)
    _apply_options(fates, parents, texts, tokens, selection)
    kept = np.bincount(parents[fates == Fate.KEPT], minlength=batch.num_rows)
    lengths = pc.fill_null(pc.binary_length(batch.column("responses").flatten()), 0).to_numpy(zero_copy_only=False)
    keys = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") for text in raw]
    return Judged(
        fates,
        samples,
        correct,
        np.array(keys, dtype=np.uint64),
        _exposure(pc.struct_field(batch.column("extra_info"), "functions"), kept),
        int(lengths[fates == Fate.KEPT].sum()),
    )


def _samples(batch: pa.RecordBatch, place: str) -> np.ndarray:
    counts = [
        pc.fill_null(pc.list_value_length(batch.column(name)), 0).to_numpy(zero_copy_only=False)
        for name in ("responses", "finish_reasons", "token_counts")
    ]
    if any((counts[0] != other).any() for other in counts[1:]):
        raise UserError(f"{place}: responses, finish_reasons and token_counts differ in length; make the rollouts again")
    return counts[0].astype(np.int64)


def _score(
    texts: Sequence[str | None], truths: Sequence[str], finished: Sequence[bool], selection: Selection, answer_rule: Rule
) -> np.ndarray:
    fates = []
    for text, truth, whole in zip(texts, truths, finished, strict=True):
        fate = _FATES[score(text or "", truth, answer_rule)] if whole or selection.keep_truncated else Fate.CUT_AT_LIMIT
        # A response that was cut before it had an answer lacks one for that reason.
        fates.append(fate if whole or fate != Fate.NO_ANSWER else Fate.CUT_AT_LIMIT)
    return np.array(fates, dtype=np.uint8)


def _apply_options(
    fates: np.ndarray, parents: np.ndarray, texts: Sequence[str | None], tokens: np.ndarray, selection: Selection
) -> None:
    if selection.max_tokens is not None:
        fates[(fates == Fate.KEPT) & (tokens > selection.max_tokens)] = Fate.OVER_TOKEN_LIMIT
    if selection.drop_duplicates:
        seen: set[tuple[int, str]] = set()
        for i in np.flatnonzero(fates == Fate.KEPT).tolist():
            response = (int(parents[i]), texts[i])
            if response in seen:
                fates[i] = Fate.DUPLICATE
            seen.add(response)
    if selection.max_per_problem is not None:
        kept = np.flatnonzero(fates == Fate.KEPT)
        owners = parents[kept]
        rank = np.arange(len(kept)) - np.searchsorted(owners, owners)
        fates[kept[rank >= selection.max_per_problem]] = Fate.OVER_PROBLEM_LIMIT


def _exposure(functions: pa.Array, kept: np.ndarray) -> dict[str, tuple[int, int, int]]:
    exposure: dict[str, tuple[int, int, int]] = {}
    for names, count in zip(functions.to_pylist(), kept.tolist(), strict=True):
        for name in {READABLE_NAMES.get(name, name) for name in names or ()}:
            problems, kept_problems, responses = exposure.get(name, (0, 0, 0))
            exposure[name] = (problems + 1, kept_problems + (count > 0), responses + count)
    return exposure
