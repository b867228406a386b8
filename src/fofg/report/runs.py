"""Format the comparison of two runs (``fofg compare``)."""

import shlex
from typing import Any

from fofg.changes import arrow
from fofg.evaluation.runs import Comparison
from fofg.report.plain import aligned


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON's types."""
    return {
        "changed": {key: list(pair) for key, pair in comparison.changed.items()},
        "accuracy": comparison.table.astype({"model": str}).to_dict("records"),
        "flips": [flip._asdict() | {"show": command(flip)} for flip in comparison.flips],
    }


def as_text(comparison: Comparison, runs: tuple[str, str], count: int) -> str:
    """Return changed keys, accuracies with 95% intervals of their differences, and the first ``count`` problems that flipped."""
    lines = ["configuration:" if comparison.changed else "configuration: the same"]
    lines += [f"  {arrow(key, *pair)}" for key, pair in comparison.changed.items()]
    seed = " with seed 0" if comparison.several_seeds else ""
    lines += ["", f"accuracy, sampled, of {runs[1]} less {runs[0]}{seed}, on the same problems:"]
    rows = [["model", "level", "problems", "first", "second", "difference", "95% interval", "p (Holm)"]]
    shown = comparison.table[(comparison.table["first"] > 0) | (comparison.table["second"] > 0)]
    for row in shown.itertuples():
        accuracies = [f"{value:.3f}" for value in (row.first, row.second)]
        interval = f"{row.low:+.3f} to {row.high:+.3f}"
        rows.append([str(row.model), str(row.level), str(row.problems), *accuracies, f"{row.difference:+.3f}", interval])
        rows[-1].append(f"{row.p_holm:.2g}")
    lines += aligned(rows)
    if left_out := len(comparison.table) - len(shown):
        lines.append(f"{left_out} rows in which neither run solves a problem are left out")
    gained = sum(flip.solved[1] > flip.solved[0] for flip in comparison.flips)
    lines += ["", f"problems solved in one run alone: {gained} in {runs[1]}, {len(comparison.flips) - gained} in {runs[0]}"]
    for flip in comparison.flips[:count]:
        lines.append(f"  {flip.model}, level {flip.level}: {flip.solved[0]:.0%} → {flip.solved[1]:.0%}  {command(flip)}")
    return "\n".join(lines)


def command(flip: Any) -> str:
    """Return the command that shows both runs' responses to a problem."""
    return shlex.join(["fofg", "show", flip.files[0], "--against", flip.files[1], "--problem", str(flip.problem)])
