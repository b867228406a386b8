"""Read what training runs recorded."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from fofg.errors import UserError
from fofg.training.metrics import read


def read_rl(path: str | Path) -> pd.DataFrame:
    """Read the metrics of a reinforcement learning run: a row per step, NaN where a step lacks a metric.

    Raises UserError if the file is missing, damaged, or of another run.
    """
    steps = pd.DataFrame(read(path))
    if not {"reward", "accuracy"} <= set(steps):
        raise UserError(f"{path}: no step with reward and accuracy; name the metrics.jsonl of a reinforcement learning run")
    return steps


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


def curve(steps: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """Return the steps that have a metric, and its values."""
    rows = steps[steps[name].notna()]
    return rows["step"], rows[name]
