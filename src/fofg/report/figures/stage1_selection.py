"""Selected RFT data: responses kept and dropped by reason, and exposure by function."""

import json
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from fofg.errors import UserError
from fofg.report import labels
from fofg.report.style import PALETTE, plt

KEPT, DROPPED = PALETTE[2], PALETTE[1]
REASONS = {
    "kept": "kept",
    "problem_all_solved": "correct, but problem\nsolved by all samples",
    "over_token_limit": "correct, over max_tokens",
    "duplicate": "correct, duplicate",
    "over_problem_limit": "correct, over\nmax_per_problem",
    "wrong": "wrong answer",
    "no_answer": "no answer",
    "cut_at_limit": "cut at the token limit",
}
#: Reasons that only an option gives; shown when it dropped something.
OPTIONAL = {"over_token_limit", "duplicate", "over_problem_limit"}


def plot(selection: str | Path, *_: str | Path) -> plt.Figure:
    """Draw the ``selection.json`` of selected RFT data: of the first seed."""
    try:
        summary = json.loads(Path(selection).read_text(encoding="utf-8"))
        total, examples = summary["responses"]["total"], summary["examples"]
        responses = {"kept": summary["responses"]["kept"], **summary["responses"]["dropped"]}
        exposure = [
            (f"{name}  {item['public_name']}", item["kept_responses"], item["kept_problems"])
            for name, item in labels.by_number(summary["exposure"])
        ]
        titles = (
            f"{total:,} responses, {summary['accuracy']:.1%} correct",
            f"{examples['train']:,} training rows, {examples['test']:,} held back",
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{selection}: no summary of a selection ({error}); remove it and run again") from None
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 6.4), width_ratios=(1, 1.15))
    _responses(left, responses, total)
    _exposure(right, exposure)
    for axes, title in zip((left, right), titles):
        axes.set_title(title, loc="left")
        axes.set_axisbelow(True)
        axes.grid(axis="y", visible=False)
    return figure


def _responses(axes: plt.Axes, counts: dict[str, int], total: int) -> None:
    shown = [name for name in REASONS if counts[name] or name not in OPTIONAL]
    values = [counts[name] for name in shown]
    colors = [KEPT if name == "kept" else DROPPED for name in shown]
    bars = axes.barh([REASONS[name] for name in shown], values, color=colors, height=0.6)
    axes.bar_label(bars, [f"{value:,} ({value / max(1, total):.0%})" for value in values], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.5 * max(1, *values))
    axes.set_xlabel("responses")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _exposure(axes: plt.Axes, exposure: list[tuple[str, int, int]]) -> None:
    functions, responses, problems = zip(*exposure)
    axes.barh(functions, responses, color=KEPT, label="kept responses")
    axes.plot(problems, functions, "D", color=PALETTE[0], mec="white", markersize=6, label="problems they belong to", clip_on=False)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("exposure by function")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="y", labelsize="small")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2, frameon=False)
