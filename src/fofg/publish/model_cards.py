"""Write the card of a trained model: lineage, training data and settings, accuracy with intervals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml
from huggingface_hub import EvalResult, ModelCardData

from fofg import names
from fofg.data.schemas import ACCURACY
from fofg.errors import UserError
from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.tables import read
from fofg.publish import cards
from fofg.report.labels import label
from fofg.report.markdown import markdown
from fofg.training import metrics

_OF_MEANS = """
The interval of the mean of all seeds is no Wilson interval: it covers problems and seeds, with a variance between seeds that all
models of the run share.
"""


class Model(NamedTuple):
    """A trained model: ``evaluated`` is its name in tables, ``start`` the model that it starts from.

    ``data``: the datasets or files that it is trained on.
    """

    name: str
    evaluated: str
    seed: int
    start: str
    data: Sequence[str]


class Run(NamedTuple):
    """What the models of a run share: the base model, as a name and as a folder; the seeds; what the evaluation tests."""

    base_model: str
    base_folder: str
    seeds: Sequence[int]
    dataset: str
    tests: str


def write_card(model: Model, run: Run, accuracy: str | Path, folder: str | Path) -> None:
    """Write the card beside a model. ``accuracy``: the run's table (schemas.ACCURACY).

    Raises UserError if the table, or the model's spec.json or metrics.jsonl, is missing or damaged.
    """
    table, title = read(accuracy, ACCURACY), f"fofg-{model.name}"
    means = over_seeds(table, ["decoding", "level"], "accuracy")  # of all models, since they share the variance between seeds
    rows, means = (values[values["model"] == model.evaluated] for values in (table, means))
    rows = rows[rows["seed"] == model.seed]
    license = cards.license_of(run.base_folder)
    records = Path(folder, "metrics.jsonl").resolve()  # stage2-rft has links to its last iteration, which has spec.json
    on_hub = not Path(run.base_folder).is_dir()
    data = ModelCardData(
        model_name=title,
        base_model=run.base_model if on_hub else None,
        eval_results=results(rows, run) or None,
        library_name="transformers",
        license=license,
        pipeline_tag="text-generation",
        tags=[*cards.TAGS, *(["grpo"] if model.name.startswith(names.RL) else ["sft"])],
    )
    text = f"""# {title}

{label(model.evaluated)} of an experiment after *From f(x) and g(x) to f(g(x)): LLMs learn new skills in RL by composing old ones*
({cards.PAPER}), made with fofg. It answers problems of the kind that it is trained on and is no assistant.

- Base model: {run.base_model}; trained from `{model.start}`
- Trained on: {", ".join(f"`{name}`" for name in model.data)}
- Seed: {model.seed}, of {", ".join(map(str, run.seeds))} in this run
- {_effort(records)}
- {cards.license_note(run.base_model, license)}

## Accuracy
Share of correct responses to the test problems of `{run.dataset}` ({run.tests}), with its 95% Wilson interval over problems.

{_accuracy(rows, means)}
## Settings
Of the training, from `spec.json`; `metrics.jsonl` has a line per step.

```yaml
{yaml.safe_dump(_spec(records.with_name("spec.json")), sort_keys=False, allow_unicode=True)}```
"""
    cards.write(folder, data, text)


def results(rows: pd.DataFrame, run: Run) -> list[EvalResult]:
    """Return the rows of one model as the hub's evaluation results. The hub has no field for intervals, so the name has them."""
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=run.dataset,
            dataset_name=f"{run.dataset}: {run.tests}, Level {row.level}",
            dataset_config=f"level{row.level}",
            dataset_split="test",
            metric_type="accuracy",
            metric_name=f"accuracy, {row.decoding} (95% interval {row.low:.3f} to {row.high:.3f}, n = {row.problems})",
            metric_value=round(row.accuracy, 4),
            metric_config=row.decoding,
        )
        for row in rows.itertuples()
    ]


def _accuracy(rows: pd.DataFrame, means: pd.DataFrame) -> str:
    several = len(means) and means["seeds"].max() > 1
    tables = {"": rows} | ({", mean of all seeds": means} if several else {})
    cells = {
        (f"{row.decoding}{suffix}", row.level): f"{row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%})"
        for suffix, table in tables.items()
        for row in table.itertuples()
    }
    if not cells:
        return "Not evaluated in this run.\n"
    columns, levels = (list(dict.fromkeys(keys)) for keys in zip(*cells))
    problems = rows.groupby("level")["problems"].first()
    lines = [[str(level), str(problems[level]), *(cells.get((column, level), "–") for column in columns)] for level in levels]
    return markdown(["level", "problems", *columns], lines) + (_OF_MEANS if several else "")


def _effort(path: Path) -> str:
    last = metrics.read(path)[-1]
    tokens = f", {last['tokens']:,} tokens read by updates" if "tokens" in last else ""
    return f"Training: {last['step']:,} steps{tokens}"


def _spec(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no settings of a training run ({error}); train again") from None
