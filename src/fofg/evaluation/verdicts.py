"""Grade rollouts: a verdict for each response, or the number of correct responses to each problem."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fofg.data.files import write_parquet
from fofg.data.rollout_files import RolloutFile
from fofg.data.schemas import HELD_OUT_VERDICTS, PASSK_COUNTS, VERDICTS
from fofg.errors import UserError
from fofg.tasks.task import AnswerRule, Outcome, read

_COLUMNS = ["data_source", "reward_model", "extra_info", "responses", "finish_reasons"]


class Totals(NamedTuple):
    """Problems graded, problems without a response (their prompt was skipped), responses."""

    problems: int
    skipped: int
    samples: int


def grade_row(row: dict, rule: AnswerRule, where: str) -> list[dict]:
    """Grade the responses to one problem: rows of ``schemas.VERDICTS``. Raises UserError if its task can't read the row."""
    task, problem = read(row, where)
    key = {"index": row["extra_info"]["index"], "level": problem.level}
    verdicts = []
    for sample, (response, reason) in enumerate(zip(row["responses"] or [], row["finish_reasons"])):
        truncated = reason == "length"
        outcome = task.grade(problem, response or "", truncated, rule)
        correct, answered = outcome is Outcome.CORRECT, outcome is not Outcome.NO_ANSWER
        verdicts.append({**key, "sample": sample, "correct": correct, "answered": answered, "truncated": truncated})
    return verdicts


def write_verdicts(rollouts: Sequence[str | Path], output: str | Path, rule: AnswerRule, decodings: Sequence[str] = ()) -> Totals:
    """Write one verdict per response of some rollout files, which are read one batch at a time.

    ``decodings``: how each file's responses were decoded, for an additional column ``decoding``. Raises UserError if a file is
    missing or damaged.
    """
    problems = skipped = 0

    def graded() -> Iterator[list[dict]]:
        nonlocal problems, skipped
        for path, decoding in zip(rollouts, decodings or [""] * len(rollouts), strict=True):
            for number, row in _rows(path):
                verdicts = grade_row(row, rule, f"{path}: row {number}")
                problems, skipped = problems + 1, skipped + (not verdicts)
                yield [verdict | {"decoding": decoding} for verdict in verdicts]

    samples = write_parquet(output, HELD_OUT_VERDICTS if decodings else VERDICTS, _chunks(graded()))
    return Totals(problems, skipped, samples)


def write_counts(rollouts: Sequence[str | Path], output: str | Path, rule: AnswerRule) -> int:
    """Write the number of correct responses to each problem, ordered by index. Return the number of problems.

    ``rollouts``: all shards, in any order. A problem without responses has 0 of 0. Raises UserError for a problem that
    occurs twice, problems with different numbers of responses, and files that are missing or damaged.
    """
    counts: dict[int, dict] = {}
    samples: dict[int, str | Path] = {}
    for path in rollouts:
        for _, row in _rows(path):
            info = row["extra_info"]
            index, verdicts = info["index"], grade_row(row, rule, f"{path}: problem {info['index']}")
            if index in counts:
                raise UserError(f"{path}: problem {index} was counted before; give every shard once")
            if verdicts:
                samples.setdefault(len(verdicts), path)
            if len(samples) > 1:
                (number, first), _ = samples.items()
                differing = f"problem {index} has {len(verdicts)} responses, those of {first} have {number}"
                raise UserError(f"{path}: {differing}; make the shards again with the same settings")
            correct = sum(verdict["correct"] for verdict in verdicts)
            counts[index] = {"index": index, "level": info["level"], "samples": len(verdicts), "correct": correct}
    return write_parquet(output, PASSK_COUNTS, [[counts[index] for index in sorted(counts)]])


def _rows(path: str | Path) -> Iterator[tuple[int, dict]]:
    """Yield the numbered rows of a rollout file."""
    number = 0
    for batch in RolloutFile(path).batches(f"grading {Path(path).name}", _COLUMNS):
        # One row at a time, since a row of pass@k may have thousands of responses.
        for offset in range(batch.num_rows):
            yield number, batch.slice(offset, 1).to_pylist()[0]
            number += 1


def _chunks(rows: Iterator[list[dict]], size: int = 4096) -> Iterator[list[dict]]:
    """Join short lists of rows into longer ones, each of which becomes a record batch."""
    chunk: list[dict] = []
    for more in rows:
        chunk += more
        if len(chunk) >= size:
            yield chunk
            chunk = []
    yield chunk
