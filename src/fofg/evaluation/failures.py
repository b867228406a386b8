"""Count what goes wrong in responses, by the classes of their task (paper §4.5)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from fofg.data.files import read_rows, write_parquet
from fofg.data.rollout_files import RolloutFile
from fofg.data.schemas import FAILURE_SHARES, FAILURES
from fofg.errors import UserError
from fofg.evaluation.tables import files_by_model
from fofg.tasks.task import AnswerRule, configured, read

_COLUMNS = ["data_source", "reward_model", "extra_info", "responses", "finish_reasons"]


def classify_file(rollouts: str | Path, output: str | Path, levels: tuple[int, int], rule: AnswerRule) -> Counter[str]:
    """Write the class of each response to problems of the levels, lowest to highest (schemas.FAILURES); return class -> responses.

    Raises UserError if the file is missing or damaged, has no problem of these levels, or one that its task can't work.
    """
    counts: Counter[str] = Counter()
    problems = 0

    def rows() -> Iterator[list[dict]]:
        nonlocal problems
        number = 0
        for batch in RolloutFile(rollouts).batches("classifying", _COLUMNS):
            chunk: list[dict] = []
            for row in batch.to_pylist():
                if levels[0] <= row["extra_info"]["level"] <= levels[1]:
                    problems += 1
                    chunk += _classified(row, rule, f"{rollouts}: row {number}")
                number += 1
            counts.update(row["failure"] for row in chunk)
            yield chunk
        if not problems:
            raise UserError(f"{rollouts}: no problem of level {levels[0]} to {levels[1]}; correct failures.levels")

    write_parquet(output, FAILURES, rows())
    return counts


def _classified(row: dict, rule: AnswerRule, where: str) -> list[dict]:
    task, problem = read(row, where)
    try:
        return [
            {
                "index": row["extra_info"]["index"],
                "level": problem.level,
                "sample": sample,
                "failure": task.classify(problem, text, reason == "length", rule),
            }
            for sample, (text, reason) in enumerate(zip(row["responses"], row["finish_reasons"]))
        ]
    except UserError as error:
        raise UserError(f"{where}: {error}; make the problems again") from None


def summarize(models: list[str], entries: Iterable[str]) -> list[dict]:
    """Return rows of schemas.FAILURE_SHARES from ``MODEL=FILE`` entries: models in order, levels ascending, a row for every class.

    Raises UserError as ``files_by_model`` does, and for a file without responses or with an unknown class.
    """
    table, classes = [], configured().failure_classes
    for model, path in files_by_model("--failures", entries, models).items():
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        for row in read_rows(path, FAILURES):
            if row["failure"] not in classes:
                raise UserError(f"{path}: no class {row['failure']!r}; there are {', '.join(classes)}; make it again")
            counts[row["level"]][row["failure"]] += 1
        if not counts:
            raise UserError(f"{path}: no response in it; were all prompts skipped as too long?")
        for level, found in sorted(counts.items()):
            shares = [(name, found[name], found[name] / found.total()) for name in classes]
            table += [dict(zip(FAILURE_SHARES.names, (model, level, *share))) for share in shares]
    return table
