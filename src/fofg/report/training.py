"""Figure of a training run: loss on training and test examples, and learning rate, by step."""

from pathlib import Path

from fofg.config import Figures
from fofg.errors import UserError
from fofg.report import style
from fofg.report.style import PALETTE, plt
from fofg.training.metrics import read

TRAIN, TEST = PALETTE[4], PALETTE[0]


def plot(metrics: str | Path, stem: str | Path, figures: Figures) -> None:
    """Draws ``metrics.jsonl`` into ``stem.<format>``. Raises UserError if the file is missing or holds no loss."""
    records = read(metrics)
    steps = [record for record in records if "loss" in record]
    tests = [record for record in records if "test_loss" in record]
    if not steps:
        raise UserError(f"{metrics}: no step with a loss; train again")
    style.apply(figures)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 5.2), sharex=True, height_ratios=(3, 1))
    top.plot(*_columns(steps, "loss"), color=TRAIN, linewidth=1.6, label="training examples, each step")
    if tests:
        top.plot(*_columns(tests, "test_loss"), color=TEST, marker="o", markersize=4, linewidth=1.2, label="test examples")
    top.set_ylabel("mean loss (nats a token)")
    top.set_ylim(bottom=0)
    top.legend(frameon=False)
    last = steps[-1]
    top.set_title(f"{last['step']:,} steps, {last['epoch']:g} epochs, {last['tokens']:,} tokens", loc="left")
    bottom.plot(*_columns(steps, "learning_rate"), color=TEST, linewidth=1.2)
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("learning rate")
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    bottom.set_xlabel("optimizer step")
    bottom.set_xlim(left=0, right=1.01 * last["step"])
    style.save(figure, stem, figures)


def _columns(records: list[dict], name: str) -> tuple[list[int], list[float]]:
    return [record["step"] for record in records], [record[name] for record in records]
