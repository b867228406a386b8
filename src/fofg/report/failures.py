"""Figure of failure classes: shares of each model's responses, stacked, a panel per level (paper §4.5)."""

from pathlib import Path

from matplotlib.patches import Patch

from fofg.config import Figures
from fofg.data.schemas import FAILURE_SHARES
from fofg.errors import UserError
from fofg.report import names, style
from fofg.report.reading import table
from fofg.report.style import PALETTE, plt
from fofg.tasks.task import configured

#: Class -> face color and hatch: neighbors differ in lightness, hatches tell them apart in grey.
LOOKS = {
    "correct": (PALETTE[5], ""),
    "atomic_error": (PALETTE[6], "xxx"),
    "incorrect_composition": (PALETTE[4], "\\\\\\"),
    "incomplete_trace": ("#F7E7A1", "..."),
    "ignores_composition": (PALETTE[1], "///"),
    "no_answer": ("#D9D9D9", ""),
    "unreadable": ("#FFFFFF", "---"),
}
#: Narrower parts have no room for their number.
_READABLE = 0.075


def plot(failures: str | Path, stem: str | Path, figures: Figures) -> None:
    """Draws the table of ``summarize_failures`` into ``stem.<format>``.

    Raises UserError if it is missing or damaged, or names a class that there is not.
    """
    rows = table(failures, FAILURE_SHARES)
    for row in rows:
        if row["failure"] not in (classes := configured().failure_classes):
            raise UserError(f"{failures}: no class {row['failure']!r}; there are {', '.join(classes)}; make it again")
    style.apply(figures)
    style.save(draw(rows), stem, figures)


def draw(rows: list[dict]) -> plt.Figure:
    """A bar per model, from top to bottom in the table's order."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    levels = sorted({row["level"] for row in rows})
    size = style.size(max(7.2, 2.0 + 3.6 * len(levels)), 1.5 + 0.42 * len(models))
    figure, panels = plt.subplots(1, len(levels), figsize=size, sharey=True, squeeze=False)
    for axes, level in zip(panels[0], levels):
        mine = [row for row in rows if row["level"] == level]
        _panel(axes, mine, models)
        axes.set_title(f"Level {level}", loc="left")
    panels[0][0].set_yticks(range(len(models)), [names.label(model) for model in models])
    panels[0][0].invert_yaxis()
    figure.get_layout_engine().set(wspace=0.05)
    figure.supxlabel("share of sampled responses", fontsize=plt.rcParams["font.size"])
    parts = [
        Patch(facecolor=color, hatch=hatch, edgecolor="black", linewidth=0.6, label=name.replace("_", " "))
        for name, (color, hatch) in LOOKS.items()
        if any(row["failure"] == name and row["responses"] for row in rows)
    ]
    figure.legend(handles=parts, loc="outside upper center", ncols=4 if len(levels) < 3 else 7, frameon=False, handleheight=1.2)
    return figure


def _panel(axes: plt.Axes, rows: list[dict], models: list[str]) -> None:
    shares = {(row["model"], row["failure"]): row["share"] for row in rows}
    starts = [0.0] * len(models)
    for name in configured().failure_classes:
        color, hatch = LOOKS[name]
        widths = [shares.get((model, name), 0.0) for model in models]
        axes.barh(range(len(models)), widths, 0.74, starts, color=color, hatch=hatch, edgecolor="black", linewidth=0.6)
        for place, (start, width) in enumerate(zip(starts, widths)):
            if width >= _READABLE:
                axes.text(
                    start + width / 2,
                    place,
                    f"{100 * width:.0f}",
                    ha="center",
                    va="center",
                    fontsize="small",
                    bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
                )
        starts = [start + width for start, width in zip(starts, widths)]
    axes.set_xlim(0, 1)
    style.percentages(axes.xaxis)
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
