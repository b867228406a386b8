"""Classify and count failures of responses, by the classes of their task (paper §4.5)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from fofg.data.files import write_parquet
from fofg.data.rollout_files import RolloutFile
from fofg.data.schemas import FAILURES
from fofg.errors import UserError
from fofg.evaluation.tables import in_order, read_all
from fofg.tasks.task import AnswerRule, configured, read

_COLUMNS = ["data_source", "reward_model", "extra_info", "responses", "finish_reasons"]


def classify_file(rollouts: str | Path, output: str | Path, levels: tuple[int, int], rule: AnswerRule) -> Counter[str]:
    """Write the class of each response to problems of the levels, lowest to highest (schemas.FAILURES); return class -> responses.

    Raises UserError if the file is missing or damaged, has no problem of these levels, or one that its task can't analyze.
    """
    counts: Counter[str] = Counter()
    problems = 0

    def rows() -> Iterator[list[dict]]:
        nonlocal problems
        number = 0
        for batch in RolloutFile(rollouts).batches("classifying", _COLUMNS):
            chunk: list[dict] = []
            for row in batch.to_pylist():
                if levels[0] <= (row["extra_info"]["level"] or 0) <= levels[1]:
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
                "failure": task.classify(problem, text or "", reason == "length", rule),
            }
            for sample, (text, reason) in enumerate(zip(row["responses"] or [], row["finish_reasons"]))
        ]
    except UserError as error:
        raise UserError(f"{where}: {error}; make the problems again") from None


def mean_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per model, level and class: the mean share over seeds, and all of their responses."""
    groups = table.groupby(["model", "level", "failure"], sort=False)
    return groups.agg(responses=("responses", "sum"), share=("share", "mean")).reset_index()


def summarize(models: Sequence[str], failures: Sequence[str | Path], seeds: Sequence[int] = ()) -> pd.DataFrame:
    """Return the table ``schemas.FAILURE_SHARES`` from a file of classes per model and seed: models in order.

    Levels ascend, and every class is there.

    Raises UserError as ``tables.read_all``, and for an unknown class.
    """
    rows, classes = read_all(models, failures, FAILURES, seeds), configured().failure_classes
    if unknown := set(rows["failure"]) - set(classes):
        files = ", ".join(map(str, failures))
        raise UserError(f"{files}: no class {min(unknown)!r}; there are {', '.join(classes)}; remove it and run again")
    rows["failure"] = pd.Categorical(rows["failure"], classes)
    keys = ["model", "seed", "level"]
    groups = in_order(rows, ["model", "seed"]).groupby([*keys, "failure"], observed=False)
    counts = groups.size().rename("responses").reset_index()
    totals = counts.groupby(keys, observed=True)["responses"].transform("sum")
    return counts.assign(share=counts["responses"] / totals)[totals > 0]
