"""Loss on training and test examples, and learning rate, by optimizer step."""

from pathlib import Path

import pandas as pd

from fofg.errors import UserError
from fofg.report.metrics import curve
from fofg.report.style import PALETTE, plt
from fofg.training.metrics import read

TRAIN, TEST = PALETTE[4], PALETTE[0]


def plot(metrics: str | Path, *_: str | Path) -> plt.Figure:
    """Draw the ``metrics.jsonl`` of a fine-tuned model: of the first seed."""
    steps = pd.DataFrame(read(metrics))
    if "loss" not in steps:
        raise UserError(f"{metrics}: no step with a loss; train again")
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 5.2), sharex=True, height_ratios=(3, 1))
    top.plot(*curve(steps, "loss"), color=TRAIN, linewidth=1.6, label="training examples, each step")
    if "test_loss" in steps:
        top.plot(*curve(steps, "test_loss"), color=TEST, marker="o", markersize=4, linewidth=1.2, label="test examples")
    top.set_ylabel("mean loss (nats a token)")
    top.set_ylim(bottom=0)
    top.legend(frameon=False)
    last = steps[steps["loss"].notna()].iloc[-1]
    top.set_title(f"{last['step']:,.0f} steps, {last['epoch']:g} epochs, {last['tokens']:,.0f} tokens", loc="left")
    bottom.plot(*curve(steps, "learning_rate"), color=TEST, linewidth=1.2)
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("learning rate")
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    bottom.set_xlabel("optimizer step")
    bottom.set_xlim(left=0, right=1.01 * last["step"])
    return figure
