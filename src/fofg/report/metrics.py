"""Read what training runs recorded."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from fofg.errors import UserError
from fofg.evaluation.accuracy import wilson
from fofg.evaluation.seeds import over_seeds
from fofg.training.metrics import read

#: Accuracy on the validation problems of a level: this and the level's number.
_VALIDATION = "validation_accuracy_level"
_COLUMNS = ["model", "seed", "level", "step", "rollouts", "problems", "samples", "accuracy", "low", "high"]


def read_rl(path: str | Path) -> pd.DataFrame:
    """Read the metrics of a reinforcement learning run: a row per step, NaN where a step lacks a metric.

    ``kept`` is the share of the drawn groups that a step trained on. Raises UserError if the file is missing, damaged, or of
    another run.
    """
    steps = pd.DataFrame(read(path))
    if not {"reward", "accuracy"} <= set(steps):
        raise UserError(f"{path}: no step with reward and accuracy; name the metrics.jsonl of a reinforcement learning run")
    return steps.assign(kept=steps["groups_kept"] / steps["groups"]) if {"groups", "groups_kept"} <= set(steps) else steps


def mean_rl(paths: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Read the metrics of runs. Return model (the file's folder) -> mean over its seeds by step.

    With several seeds, columns ``NAME_low`` and ``NAME_high`` hold the range over them. Raises UserError as ``read_rl``.
    """
    runs: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        runs.setdefault(Path(path).parent.name, []).append(read_rl(path))
    return {model: _mean(seeds) if len(seeds) > 1 else seeds[0] for model, seeds in runs.items()}


def _mean(seeds: list[pd.DataFrame]) -> pd.DataFrame:
    groups = pd.concat(seeds).groupby("step")
    mean = groups.mean(numeric_only=True)
    return mean.join(
        [groups.min(numeric_only=True).add_suffix("_low"), groups.max(numeric_only=True).add_suffix("_high")]
    ).reset_index()


def rollouts(path: str | Path) -> pd.Series:
    """Return the responses that a run had drawn by step, from its metrics and its settings beside them (``spec.json``).

    Raises UserError as ``read_rl``.
    """
    steps = read_rl(path).reindex(columns=["step", "phase", "prompts_drawn"]).set_index("step")
    drawn = steps["prompts_drawn"].fillna(0)
    before = drawn.shift(fill_value=0).where(steps["phase"].diff() > 0, 0).cumsum()  # counted from the beginning of each phase
    return (before + drawn) * int(_beside(path, "spec.json")["rl"]["rollouts"]["samples"])


def last_rollouts(paths: Iterable[str | Path]) -> dict[str, float]:
    """Return model -> the responses that its run drew in all, the mean over seeds."""
    runs = pd.DataFrame([(Path(path).parent.name, rollouts(path).iloc[-1]) for path in paths], columns=["model", "drawn"])
    return runs.groupby("model")["drawn"].mean().to_dict()


def validations(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return accuracies on validation problems by model, level and step, with 95% intervals (``fofg.evaluation.seeds``).

    ``rollouts``: what the run had drawn by then, the mean over seeds. Raises UserError as ``read_rl``.
    """
    rows = []
    for seed, path in enumerate(paths):
        steps, drawn, model = read_rl(path).set_index("step"), rollouts(path), Path(path).parent.name
        for name in (name for name in steps if name.startswith(_VALIDATION)):
            problems, level = int(_beside(path, "validation.json")["problems"]), int(name.removeprefix(_VALIDATION))
            for step, share in steps[name].dropna().items():
                rows.append((model, seed, level, step, drawn[step], problems, problems, share, *wilson(share, problems)))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    if table.empty:
        return table
    means = over_seeds(table, ["level", "step"], "accuracy")
    return means.merge(table.groupby(["model", "level", "step"], as_index=False)["rollouts"].mean())


def _beside(path: str | Path, name: str) -> dict:
    """Read a JSON file of a model's folder. Raises UserError if it is missing or damaged."""
    file = Path(path).with_name(name)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not readable ({error}); train again") from None


def curve(steps: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """Return the steps that have a metric, and its values."""
    rows = steps[steps[name].notna()]
    return rows["step"], rows[name]
