"""What each reinforcement learning run recorded by step: a panel per metric, a curve per curriculum."""

from pathlib import Path

import pandas as pd
from matplotlib.ticker import MaxNLocator

from fofg.report import labels, style
from fofg.report.metrics import mean_rl
from fofg.report.style import plt

#: Metric -> its panel's title.
PANELS = {
    "reward": "mean reward",
    "accuracy": "accuracy, training problems",
    "kept": "groups kept, of those drawn",
    "truncated": "responses cut at the limit",
    "response_length": "response length (tokens)",
    "entropy": "entropy (nats per token)",
    "grad_norm": "gradient norm",
    "clip_fraction": "clipped tokens",
    "kl": "KL divergence from Stage 1",
}
_SHARES = ("accuracy", "kept", "truncated")
_COLUMNS = 4


def plot(*metrics: str | Path) -> plt.Figure:
    """Draw the ``metrics.jsonl`` in each model's folder; with several seeds their mean and their range."""
    runs = mean_rl(metrics)
    shown = [name for name in PANELS if name != "kl" or any("kl" in steps for steps in runs.values())]
    rows = -(-len(shown) // _COLUMNS)
    figure, panels = plt.subplots(rows, _COLUMNS, figsize=style.size(2.4 * _COLUMNS, 0.8 + 2.1 * rows), sharex=True, squeeze=False)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, name in zip(panels.flat, shown):
        _panel(axes, name, runs)
        axes.set_title(PANELS[name], loc="left", fontsize="small")
    for axes in panels[-1]:
        axes.set_xlabel("step")
    seeds = "Bands: from the lowest to the highest seed." if any("reward_low" in steps for steps in runs.values()) else ""
    phases = "Dotted: the next phase." if any(len(_phases(steps)) for steps in runs.values()) else ""
    style.legend_below(figure, style.handles([panels[0][0]]), f"{seeds} {phases}".strip())
    return figure


def _panel(axes: plt.Axes, name: str, runs: dict[str, pd.DataFrame]) -> None:
    highest = 0.0
    for model, look in style.looks(runs).items():
        steps = runs[model][runs[model]["reward"].notna()]
        if name not in steps:
            continue
        steps = steps[steps[name].notna()]
        axes.plot(steps["step"], steps[name], color=look.color, linestyle=look.line, linewidth=1.3, label=labels.label(model))
        if f"{name}_low" in steps:
            axes.fill_between(steps["step"], steps[f"{name}_low"], steps[f"{name}_high"], color=look.color, alpha=0.15, linewidth=0)
        for step in _phases(runs[model]):
            axes.axvline(step, color=look.color, linewidth=1, linestyle=":")
        highest = max(highest, steps[name].max())
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize="small")
    if name in _SHARES:
        axes.set_ylim(-0.03, 1.03)
        style.percentages(axes.yaxis)
    elif name != "reward":
        axes.set_ylim(bottom=0, top=None if highest else 1)
    if not highest and name == "clip_fraction":
        axes.text(0.5, 0.5, "no token was clipped", transform=axes.transAxes, ha="center", va="center", fontsize="small")


def _phases(steps: pd.DataFrame) -> list[float]:
    """Return where a curriculum's next phase begins."""
    trained = steps[steps["reward"].notna()]
    if "phase" not in trained:
        return []
    return [step - 0.5 for step, changed in zip(trained["step"][1:], trained["phase"].diff()[1:]) if changed]
