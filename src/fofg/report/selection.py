"""Figure of selected RFT data: responses kept and dropped by reason, exposure by function."""

import json
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from fofg.config import Figures
from fofg.errors import UserError
from fofg.report import style
from fofg.report.names import function_number
from fofg.report.style import PALETTE, plt

KEPT, DROPPED = PALETTE[2], PALETTE[1]
LABELS = {
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


def plot(selection: str | Path, stem: str | Path, figures: Figures) -> None:
    """Draws the summary of a selection into ``stem.<format>``. Raises UserError if the file is missing or no such summary."""
    try:
        summary = json.loads(Path(selection).read_text(encoding="utf-8"))
        fates = {"kept": summary["responses"]["kept"], **summary["responses"]["dropped"]}
        exposure = sorted(summary["exposure"].items(), key=lambda item: function_number(item[1]["public_name"]))
        counts = [(f"{name}  {item['public_name']}", item["kept_responses"], item["kept_problems"]) for name, item in exposure]
        total, accuracy = summary["responses"]["total"], summary["accuracy"]
        examples = summary["examples"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{selection}: not a summary of select_rft_data ({error}); make it again") from None
    style.apply(figures)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 6.4), width_ratios=(1, 1.15))
    _fates(left, fates, total)
    left.set_title(f"{total:,} responses, {accuracy:.1%} correct", loc="left")
    _exposure(right, counts)
    right.set_title(f"{examples['train']:,} training rows, {examples['test']:,} held back", loc="left")
    style.save(figure, stem, figures)


def _fates(axes: plt.Axes, fates: dict[str, int], total: int) -> None:
    shown = [
        (LABELS[name], fates[name], KEPT if name == "kept" else DROPPED) for name in LABELS if fates[name] or name not in OPTIONAL
    ]
    labels, values, colors = zip(*shown)
    bars = axes.barh(labels, values, color=colors, height=0.6)
    axes.bar_label(bars, [f"{value:,} ({value / max(1, total):.0%})" for value in values], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.5 * max(1, *values))
    axes.set_xlabel("responses")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_axisbelow(True)
    axes.grid(axis="y", visible=False)


def _exposure(axes: plt.Axes, counts: list[tuple[str, int, int]]) -> None:
    labels, responses, problems = zip(*counts)
    axes.barh(labels, responses, color=KEPT, label="kept responses")
    axes.plot(problems, labels, "D", color=PALETTE[0], mec="white", markersize=6, label="problems they belong to", clip_on=False)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("exposure by function")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", labelsize="small")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2, frameon=False)
