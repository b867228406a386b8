"""The whole experiment in Markdown: a table a question, this run's numbers beside the published ones."""

import json
from pathlib import Path

from fofg.data.files import write_text
from fofg.data.schemas import ACCURACY, FAILURE_SHARES, PASSK
from fofg.errors import UserError
from fofg.report import paper
from fofg.report.names import iterations, label
from fofg.report.paper import Failures, Published
from fofg.report.reading import Record, named_files, read_run, table
from fofg.report.tables import markdown
from fofg.stages import WriteSummary
from fofg.tasks.task import configured

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
_GREEDY = """## 2. The same with greedy responses

One response a problem, the likeliest token at each place.
"""
_PASSK = """## 3. New skill, or the old one found more often? pass@k

Share of problems that at least one of k responses solves (unbiased estimate of Chen et al. 2021), for k = 1 and the largest k.
Fig. 5 of the paper compares {models}, up to k = 1,024: on Levels 1–2
the lead of reinforcement learning on Levels 1+2 closes as k grows, on Levels 3–6 it widens.
"""
_FAILURES = """## 4. What goes wrong? Classes of sampled responses

Share of each model's responses by level; the first class is success. The paper has the first five classes at Level 3 (§4.5), told
apart by a language model. Its first three models misread the structure of the composition in {misread} of their responses,
which is an incorrect composition or an incomplete trace here.
"""
_RL = """## 5. What did reinforcement learning cost?

Kept: groups whose rewards differ, so that they teach something. Training accuracy is over all responses drawn in a step, from the
first step to the last; validation is the mean over its levels, on held-out functions. Time is that of the whole run, resumed parts
included.
"""


def write_summary(
    output: str | Path, spec: WriteSummary, accuracy: str, passk: str, failures: str, dataset: str, rl: list[str]
) -> None:
    """Write the summary of the spec's models, in their order, from three tables and ``MODEL=metrics.jsonl`` entries.

    ``dataset``: the description of the evaluation's problems (describe_datasets).

    Raises UserError if a file is missing, damaged or empty.
    """
    models, rows = spec.models, table(accuracy, ACCURACY)
    runs = {model: read_run(path) for model, path in named_files("--rl", rl).items()}
    sections = [
        _HEAD.format(base_model=spec.base_model),
        f"{_SAMPLED.format(overlap=overlap(dataset))}\n{accuracy_table(models, rows, 'sampled', paper.PAPER, paper.ACCURACY)}",
        f"{_GREEDY}\n{accuracy_table(models, rows, 'greedy', paper.REPRODUCTION, paper.REPRODUCED)}",
        f"{_PASSK.format(models=', '.join(map(label, paper.PASSK_MODELS)))}\n{passk_table(models, table(passk, PASSK))}",
        f"{_FAILURES.format(misread=paper.FAILURES[0].misread.text)}\n{failure_table(models, table(failures, FAILURE_SHARES))}",
        f"{_RL}\n{rl_table(runs)}",
    ]
    write_text(output, "\n".join(sections))


def overlap(description: str | Path) -> str:
    """Say how many of the evaluation's problems are training problems.

    Raises UserError if the description is missing or damaged.
    """
    try:
        described = json.loads(Path(description).read_text(encoding="utf-8"))
        test = described["splits"]["test"]
        counts = {name: int(other["problems"]) for name, other in test["overlap"].items() if name.endswith("/train")}
        rows, name = int(test["rows"]), described["dataset"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{description}: not a description of a dataset with a test split ({error}); make it again") from None
    shared = [f"{count} are in {other}" for other, count in counts.items() if count]
    of = f"Of the {rows:,} problems of {name}"
    return f"{of}, {', '.join(shared)}, with the same input." if shared else f"{of}, none is a training problem."


def accuracy_table(models: list[str], rows: list[dict], decoding: str, source: str, published: list[Published]) -> str:
    """A row per model with its accuracy by level; below it the published rows that compare with it, last those of other models."""
    levels = sorted({row["level"] for row in rows})
    cells = {(row["model"], row["level"]): row for row in rows if row["decoding"] == decoding}
    rft = iterations(models)[-1:]
    beside = [(rft[0] if rft and row.model == "stage2-rft" else row.model, row) for row in published]
    result = []
    for model in models:
        if any((model, level) in cells for level in levels):
            result.append([label(model), OURS, *(_share(cells.get((model, level)), "accuracy") for level in levels)])
        result += [_published(row, source, levels) for ours, row in beside if ours == model]
    result += [_published(row, source, levels) for ours, row in beside if ours not in models]
    return markdown(["model", "source", *_levels(levels)], result)


def _published(row: Published, source: str, levels: list[int]) -> list[str]:
    where = f"{source} {row.section}".strip()
    return [row.label, where, *(str(row.levels.get(level, NONE)) for level in levels)]


def passk_table(models: list[str], rows: list[dict]) -> str:
    """Two rows per model: k = 1 and the largest k; and the paper's lead."""
    levels = sorted({row["level"] for row in rows})
    cells = {(row["model"], row["k"], row["level"]): row for row in rows}
    result = []
    for model in models:
        counts = sorted({row["k"] for row in rows if row["model"] == model})
        for k in dict.fromkeys([*counts[:1], *counts[-1:]]):
            shares = [_share(cells.get((model, k, level)), "pass_at_k") for level in levels]
            result.append([label(model), OURS, f"{k:,}", *shares])
    for gap in paper.PASSK:
        points = [str(gap.points) if level == gap.level else NONE for level in levels]
        result.append([gap.label, f"{paper.PAPER} {gap.section}", f"{gap.k:,}", *points])
    return markdown(["model", "source", "k", *_levels(levels)], result)


def failure_table(models: list[str], rows: list[dict]) -> str:
    """A row per level and model, a column per class; the paper's rows follow at its level, whether or not this run has it."""
    shares = {(row["level"], row["model"], row["failure"]): row["share"] for row in rows}
    result = []
    for level in sorted({paper.FAILURE_LEVEL, *(row["level"] for row in rows)}):
        for model in models:
            responses = sum(row["responses"] for row in rows if (row["level"], row["model"]) == (level, model))
            if responses:
                mine = [f"{shares.get((level, model, name), 0):.1%}" for name in configured().failure_classes]
                result.append([str(level), label(model), OURS, f"{responses:,}", *mine])
        if level == paper.FAILURE_LEVEL:
            result += [_published_failures(row) for row in paper.FAILURES]
    return markdown(
        ["level", "model", "source", "responses", *(name.replace("_", " ") for name in configured().failure_classes)], result
    )


def _published_failures(row: Failures) -> list[str]:
    shares = [str(row.shares.get(name, NONE)) for name in configured().failure_classes]
    return [str(paper.FAILURE_LEVEL), row.label, f"{paper.PAPER} {row.section}", NONE, *shares]


def rl_table(runs: dict[str, list[Record]]) -> str:
    """A row a run: steps, groups, accuracy before and after, time."""
    costs = ["steps", "without update", "groups drawn", "groups kept", "training accuracy", "validation", "time"]
    return markdown(["model", "source", *costs], [[label(model), OURS, *_costs(records)] for model, records in runs.items()])


def _costs(records: list[Record]) -> list[str]:
    steps = [record for record in records if "reward" in record]
    drawn, kept = (sum(record.get(name, 0) for record in steps) for name in ("groups", "groups_kept"))
    return [
        f"{len(steps):,}",
        f"{sum(not record.get('groups_kept') for record in steps):,}",
        f"{drawn:,}",
        f"{kept:,} ({kept / max(1, drawn):.0%})",
        _from_to(steps, "accuracy"),
        _from_to(records, "validation_accuracy"),
        _time(steps[-1].get("seconds")),
    ]


def _from_to(records: list[Record], name: str) -> str:
    values = [record[name] for record in records if name in record]
    return f"{values[0]:.1%} → {values[-1]:.1%}" if values else NONE


def _time(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _share(row: dict | None, name: str) -> str:
    """A share in percent and the ends of its interval."""
    return NONE if row is None else f"{row[name]:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _levels(levels: list[int]) -> list[str]:
    return [f"Level {level}" for level in levels]
