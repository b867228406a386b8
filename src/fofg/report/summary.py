"""The whole experiment in Markdown: a table per question, this run's numbers beside the published ones."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fofg.data.schemas import ACCURACY, COMPARISONS, FAILURE_SHARES, PASSK
from fofg.errors import UserError
from fofg.evaluation.failures import mean_shares
from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.tables import read
from fofg.report import differences, effort, paper
from fofg.report.labels import iterations, label
from fofg.report.markdown import markdown
from fofg.report.metrics import mean_rl, read_rl
from fofg.report.paper import Published

OURS = "fofg, this run"
NONE = "–"
_HEAD = f"""# Summary

This run started from `{{base_model}}`, the paper from Llama-3.1-8B-Instruct. **Another model's numbers are not the paper's**:
compare which of a run's models does better than which, not the heights.

Every row is marked: "{OURS}", "{paper.PAPER}" (arXiv 2509.25123v3), or "{paper.REPRODUCTION}".
{paper.REPRODUCTION_NOTE}
Published numbers are (exact) if quoted, or (approx.) if said to be "around" or read off prose. This run's have 95% intervals;
{NONE} is "not known".
"""
_SAMPLED = """## 1. Do composed skills appear? Accuracy on held-out functions, sampled

Share of correct responses by level, at the evaluation's temperature; 95% Wilson interval over problems.
{overlap}
"""
_COMPARISONS = """## 2. Which differences are more than chance?

Percentage points by which the first model's accuracy is above the second's, on the same problems with sampled responses; in
parentheses the p-value, corrected for all comparisons (Holm). Models whose difference is not bold can't be told apart by this run.
All numbers: `results/comparisons.md`.
"""
_GREEDY = """## 3. The same with greedy responses

One response per problem, the likeliest token at each position.
"""
_PASSK = """## 4. New skill, or the old one found more often? pass@k

Share of problems that at least one of k responses solves (unbiased estimate of Chen et al. 2021), for k = 1 and the largest k.
Fig. 5 of the paper compares {models}, up to k = 1,024: on Levels 1–2
the lead of reinforcement learning on Levels 1+2 closes as k grows, on Levels 3–6 it widens.
"""
_FAILURES = """## 5. What goes wrong? Classes of sampled responses

Share of each model's responses by level; the first class is success. The paper has the first five classes at Level 3 (§4.5), told
apart by a language model. Its first three models misread the structure of the composition in {misread} of their responses,
which is an incorrect composition or an incomplete trace here.
"""
_EFFORT = """## 6. What did training take?

Rejection fine-tuning with all its iterations, and each run of reinforcement learning, on top of Stage 1, of the first seed. Tokens
are those of prompts and responses that updates read, in all epochs. Arms compare fairly where these numbers are alike;
docs/evidence.md says how to make them so.
"""
_RL = """## 7. What did reinforcement learning cost?

Kept: groups whose rewards differ, so that they teach something. Training accuracy is over all responses drawn in a step, from the
first step to the last; validation is the mean over its levels, on held-out functions. Time is that of the whole run, resumed parts
included.
"""


Files = str | Path


def summary(
    models: Sequence[str],
    base_model: str,
    accuracy: Files,
    comparisons: Files,
    passk: Files,
    failures: Files,
    dataset: Files,
    metrics: Sequence[Files],
    selections: Sequence[Files],
    fine_tuned: Sequence[Files],
    group: int,
) -> str:
    """Compare models, in their order, by four tables and the ``metrics.jsonl`` in the folder of each RL model.

    ``dataset``: the description of the evaluation's problems; ``selections``, ``fine_tuned``: selection.json and metrics.jsonl of
    RFT's iterations, in order; ``group``: responses per prompt in RL. Raises UserError if a file is missing, damaged or empty.
    """
    rows, runs = over_seeds(read(accuracy, ACCURACY), ["decoding", "level"], "accuracy"), mean_rl(metrics)
    pairs = read(comparisons, COMPARISONS)
    by_iteration = {Path(path).parent.name: (selection, path) for selection, path in zip(selections, fine_tuned, strict=True)}
    first = {Path(path).parent.name: read_rl(path) for path in reversed(metrics)}
    passk_models = ", ".join(map(label, paper.PASSK_MODELS))
    sections = [
        _HEAD.format(base_model=base_model),
        f"{_SAMPLED.format(overlap=overlap(dataset))}\n{accuracy_table(models, rows, 'sampled', paper.PAPER, paper.ACCURACY)}",
        f"{_COMPARISONS}\n{differences.resolution(pairs)}\n{differences.matrix(pairs)}",
        f"{_GREEDY}\n{accuracy_table(models, rows, 'greedy', paper.REPRODUCTION, paper.REPRODUCED)}",
        f"{_PASSK.format(models=passk_models)}\n{passk_table(models, over_seeds(read(passk, PASSK), ['level', 'k'], 'pass_at_k'))}",
        f"{_FAILURES.format(misread=paper.MISREAD)}\n{failure_table(models, mean_shares(read(failures, FAILURE_SHARES)))}",
        f"{_EFFORT}\n{effort.table(by_iteration, {model: first[model] for model in runs}, group)}",
        f"{_RL}\n{rl_table(runs)}",
    ]
    return "\n".join(sections)


def overlap(description: str | Path) -> str:
    """Return a sentence on how many of the evaluation's problems are training problems.

    Raises UserError if the description is missing or damaged.
    """
    try:
        described = json.loads(Path(description).read_text(encoding="utf-8"))
        test, name = described["splits"]["test"], described["dataset"]
        counts = {other: int(entry["problems"]) for other, entry in test["overlap"].items() if other.endswith("/train")}
        problems = f"Of the {int(test['rows']):,} problems of {name}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{description}: not a description of a test split ({error}); remove it and run again") from None
    shared = [f"{count} are in {other}" for other, count in counts.items() if count]
    return f"{problems}, {', '.join(shared)}, with the same input." if shared else f"{problems}, none is a training problem."


def accuracy_table(
    models: Sequence[str],
    rows: pd.DataFrame,
    decoding: str,
    source: str,
    published: list[Published],
    name: Callable[[str], str] = label,
) -> str:
    """Return one row per model, each followed by the published rows to compare it with; all other published rows come last."""
    levels = sorted(rows["level"].unique())
    rows = rows[rows["decoding"] == decoding]
    last_rft = iterations(models)[-1:]

    def model_of(row: Published) -> str:
        return last_rft[0] if last_rft and row.model == "stage2-rft" else row.model

    lines = []
    for model in models:
        cells = _shares(rows[rows["model"] == model], "accuracy")
        if cells:
            lines.append([name(model), OURS, *(cells.get(level, NONE) for level in levels)])
        lines += [_published(row, source, levels) for row in published if model_of(row) == model]
    lines += [_published(row, source, levels) for row in published if model_of(row) not in models]
    return markdown(["model", "source", *_headings(levels)], lines)


def passk_table(models: Sequence[str], rows: pd.DataFrame) -> str:
    """Return two rows per model, for k = 1 and the largest k, and the gaps that the paper reports."""
    levels = sorted(rows["level"].unique())
    lines = []
    for model in models:
        curves = rows[rows["model"] == model]
        for k in sorted({curves["k"].min(), curves["k"].max()} if len(curves) else ()):
            cells = _shares(curves[curves["k"] == k], "pass_at_k")
            lines.append([label(model), OURS, f"{k:,}", *(cells.get(level, NONE) for level in levels)])
    for gap in paper.PASSK:
        points = [gap.points if level == gap.level else NONE for level in levels]
        lines.append([gap.label, f"{paper.PAPER} {gap.section}", f"{gap.k:,}", *points])
    return markdown(["model", "source", "k", *_headings(levels)], lines)


def failure_table(models: Sequence[str], rows: pd.DataFrame) -> str:
    """Return one row per level and model, one column per class; the paper's rows are at its level, even if the run lacks it."""
    classes = list(rows["failure"].unique())
    lines = []
    for level in sorted({paper.FAILURE_LEVEL, *rows["level"]}):
        for model in models:
            counts = rows[(rows["level"] == level) & (rows["model"] == model)].set_index("failure")
            if counts["responses"].any():
                shares = [f"{counts['share'].get(name, 0):.1%}" for name in classes]
                lines.append([str(level), label(model), OURS, f"{counts['responses'].sum():,}", *shares])
        for row in paper.FAILURES if level == paper.FAILURE_LEVEL else []:
            name, source, *shares = _published(row, paper.PAPER, classes)
            lines.append([str(level), name, source, NONE, *shares])
    return markdown(["level", "model", "source", "responses", *(name.replace("_", " ") for name in classes)], lines)


def rl_table(runs: dict[str, pd.DataFrame]) -> str:
    """Return one row per run: steps, groups, accuracy before and after, time."""
    costs = ["steps", "without update", "groups drawn", "groups kept", "training accuracy", "validation", "time"]
    return markdown(["model", "source", *costs], [[label(model), OURS, *_costs(steps)] for model, steps in runs.items()])


def _costs(records: pd.DataFrame) -> list[str]:
    steps = records[records["reward"].notna()]
    steps = steps.reindex(columns=steps.columns.union(["groups", "groups_kept", "seconds"]))
    drawn, accepted = int(steps["groups"].sum()), int(steps["groups_kept"].sum())
    return [
        f"{len(steps):,}",
        f"{(steps['groups_kept'].fillna(0) == 0).sum():,}",
        f"{drawn:,}",
        f"{accepted:,} ({accepted / max(1, drawn):.0%})",
        _from_to(steps, "accuracy"),
        _from_to(records, "validation_accuracy"),
        _time(steps["seconds"].iloc[-1]),
    ]


def _from_to(records: pd.DataFrame, name: str) -> str:
    if name not in records:
        return NONE
    values = records[name].dropna()
    return f"{values.iloc[0]:.1%} → {values.iloc[-1]:.1%}" if len(values) else NONE


def _time(seconds: float) -> str:
    if pd.isna(seconds):
        return NONE
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _shares(rows: pd.DataFrame, name: str) -> dict[int, str]:
    """Return level -> a share in percent with its interval."""
    return {
        level: f"{share:.1%} ({100 * low:.1f} to {100 * high:.1f})"
        for level, share, low, high in zip(rows["level"], rows[name], rows["low"], rows["high"])
    }


def _published(row: Published, source: str, columns: Sequence[int | str]) -> list[str]:
    return [row.label, f"{source} {row.section}".strip(), *(row.numbers.get(column, NONE) for column in columns)]


def _headings(levels: list[int]) -> list[str]:
    return [f"Level {level}" for level in levels]
