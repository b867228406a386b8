"""Compare two runs: their configurations, the accuracy of models that both have evaluated, and problems that one of them solves."""

import json
from math import lcm
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fofg import names
from fofg.changes import differences
from fofg.data.rollout_files import RolloutFile
from fofg.errors import UserError
from fofg.evaluation.comparisons import compare, holm, solved
from fofg.provenance import CONFIG
from fofg.tasks import task as tasks

_VERDICTS, _ROLLOUTS = "verdicts.parquet", f"{names.HELD_OUT}/sampled/rollouts.parquet"


class Flip(NamedTuple):
    """A problem (its index in the first run) that one run solves with most of its responses, and the other does not."""

    model: str
    level: int
    problem: int
    solved: tuple[float, float]
    files: tuple[str, str]


class Comparison(NamedTuple):
    """``changed``: dotted key -> values of both runs. ``table``: a row per model and level (Difference, p_holm, accuracies).

    ``several_seeds``: a run has more than the one compared, which is seed 0.
    """

    changed: dict[str, tuple[Any, Any]]
    table: pd.DataFrame
    flips: list[Flip]
    several_seeds: bool


def configuration(run: str) -> dict:
    """Return the configuration that a run was last started with. Raises UserError if there is none."""
    path = Path(run, CONFIG)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or "problems" not in values:
            raise ValueError("no configuration of a run")
        return values
    except FileNotFoundError:
        raise UserError(f"{run}: no run ({path} is missing); name the run_dir of a run that was started") from None
    except ValueError as error:
        raise UserError(f"{path}: not readable ({error}); start the run again, which writes it") from None


def compare_runs(first: str, second: str) -> Comparison:
    """Compare the second run with the first, on the problems that all models of both have responses to, level by level.

    Problems are the same if question and input are, whatever their indexes. Intervals and p-values are those of paired models
    (fofg.evaluation.comparisons), with p corrected for the number of rows. Raises UserError if there is nothing in common.
    """
    configurations = configuration(first), configuration(second)
    changed, several_seeds = differences(*configurations), any(len(values.get("seeds", [])) > 1 for values in configurations)
    changed.pop("run_dir", None)
    models = [model for model in _models(first) if model in _models(second)]
    if not models:
        missing = f"none of {', '.join(_models(first)) or 'its models'} is evaluated in {second}"
        raise UserError(f"{first}: {missing}; run target evaluate in both")
    shares = {(model, number): _shares(run, model) for model in models for number, run in enumerate((first, second))}
    samples = lcm(*(table.attrs["samples"] for table in shares.values()))
    rows = pd.concat({key: table["share"] for key, table in shares.items()}, axis=1).dropna()
    if rows.empty:
        raise UserError(f"{first} and {second} have no evaluated problem in common; they differ in problems or evaluation.dataset")
    table, flips = [], []
    levels = rows.index.get_level_values("level").nunique()
    for level, group in rows.groupby(level="level"):
        pairs = {model: [group[model, number].to_numpy() for number in (0, 1)] for model in models}
        counts = np.rint(np.stack([new - old for old, new in pairs.values()]) * samples)
        for model, difference in zip(models, compare(counts[:, None], samples, comparisons=levels * len(models))):
            accuracies = dict(zip(("first", "second"), map(np.mean, pairs[model])))
            table.append({"model": model, "level": level, "problems": len(group), **accuracies, **difference._asdict()})
        flips += [flip for model in models for flip in _flips(model, level, group[model], shares[model, 0], (first, second))]
    result = pd.DataFrame(table)
    result["model"] = pd.Categorical(result["model"], models)
    result["p_holm"] = holm(result["p"])
    flips.sort(key=lambda flip: -abs(flip.solved[1] - flip.solved[0]))
    return Comparison(changed, result.sort_values(["model", "level"], ignore_index=True), flips, several_seeds)


def _models(run: str) -> list[str]:
    """Return the evaluated models of a run, in the order of the experiment."""
    folder = Path(run, names.EVALUATION)
    evaluated = sorted(path.parent.name for path in folder.glob(f"*/{_VERDICTS}") if (path.parent / _ROLLOUTS).is_file())
    order = [names.BASE, names.STAGE0, names.STAGE1]
    return sorted(evaluated, key=lambda name: (order.index(name) if name in order else len(order), name))


def _shares(run: str, model: str) -> pd.DataFrame:
    """Return the share of correct sampled responses by level and problem (question, input); ``index`` is its number in the run."""
    folder = Path(run, names.EVALUATION, model)
    table = solved(folder / _VERDICTS).reset_index()
    keys = _problems(folder / _ROLLOUTS)
    table = table[table["index"].isin(keys)].assign(problem=lambda rows: rows["index"].map(keys)).drop_duplicates("problem")
    result = table.assign(share=table["correct"] / table["samples"]).set_index(["level", "problem"])
    result.attrs["samples"] = int(np.lcm.reduce(result["samples"].to_numpy())) if len(result) else 1
    return result


def _problems(path: Path) -> dict[int, tuple[str, str]]:
    """Return the question and input of the problems of a rollout file by index."""
    problems = {}
    for batch in RolloutFile(path).batches(f"reading {path}", ["data_source", "reward_model", "extra_info"]):
        for row in batch.to_pylist():
            _, problem = tasks.read(row, str(path))
            problems[row["extra_info"]["index"]] = problem.question, problem.input
    return problems


def _flips(model: str, level: int, shares: pd.DataFrame, first: pd.DataFrame, runs: tuple[str, str]) -> list[Flip]:
    """Return the problems that one run solves in most responses and the other does not."""
    files = tuple(str(Path(run, names.EVALUATION, model, _ROLLOUTS)) for run in runs)
    flipped = shares[(shares[0] > 0.5) != (shares[1] > 0.5)]
    numbers = first.loc[flipped.index, "index"]
    solved = zip(flipped[0], flipped[1])
    return [Flip(model, int(level), int(number), pair, files) for number, pair in zip(numbers, solved)]  # type: ignore[arg-type]
