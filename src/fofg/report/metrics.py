"""Read what training runs recorded."""

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


def curve(steps: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """Return the steps that have a metric, and its values."""
    rows = steps[steps[name].notna()]
    return rows["step"], rows[name]
