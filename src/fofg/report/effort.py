"""What each arm of Stage 2 took to train: rollouts, responses and tokens, from the files of the runs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fofg.errors import UserError
from fofg.report.labels import compared, label
from fofg.report.markdown import markdown
from fofg.training.metrics import read

#: Rollouts, responses trained on and tokens trained on, None where that is not recorded.
Counts = tuple[int | None, int | None, int | None]


def table(iterations: dict[str, tuple[str | Path, str | Path]], runs: dict[str, pd.DataFrame], group: int) -> str:
    """Return a row for RFT, all iterations together, and one per RL run.

    ``iterations``: model -> its selection.json and metrics.jsonl; ``runs``: model -> metrics of RL, in groups of ``group``
    responses. Raises UserError if a file is missing or damaged.
    """
    rows = []
    if iterations:
        counts = [_of_iteration(*files) for files in iterations.values()]
        (name,) = compared(iterations).values()
        rows.append([name, *(_sum(column) for column in zip(*counts))])
    rows += [[label(model), *map(_number, _of_rl(steps, group))] for model, steps in runs.items()]
    return markdown(["model", "rollouts", "responses trained on", "tokens trained on"], rows)


def _of_iteration(selection: str | Path, metrics: str | Path) -> Counts:
    try:
        selected = json.loads(Path(selection).read_text(encoding="utf-8"))
        rollouts, responses = int(selected["responses"]["total"]), int(selected["examples"]["train"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{selection}: not a report of a selection ({error}); remove it and run again") from None
    records = read(metrics)
    return rollouts, responses, int(records[-1]["tokens"]) if records and "tokens" in records[-1] else None


def _of_rl(records: pd.DataFrame, group: int) -> Counts:
    steps = records[records["reward"].notna()].reindex(columns=records.columns.union(["groups_kept", "prompts_drawn", "tokens"]))
    tokens = steps["tokens"].iloc[-1]
    rollouts = steps.groupby("phase")["prompts_drawn"].last().sum()  # counted from the beginning of each phase
    has_all_steps = len(steps) == steps["step"].max()  # training.log_every may leave some out
    return (
        int(rollouts) * group,
        int(steps["groups_kept"].sum()) * group if has_all_steps else None,
        None if pd.isna(tokens) else int(tokens),
    )


def _sum(numbers: Sequence[int | None]) -> str:
    return _number(None if None in numbers else sum(number or 0 for number in numbers))


def _number(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"
