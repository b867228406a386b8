"""Write the card of a dataset: its splits as the hub loads them, and what is in them."""

import json
from pathlib import Path

from huggingface_hub import DatasetCardData

from fofg.config import Dataset
from fofg.data.files import count_rows
from fofg.errors import UserError
from fofg.publish import cards
from fofg.report.markdown import markdown

#: Upper end of each of the hub's size categories.
_SIZES = {1000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
_COLUMNS = """Rows follow verl's convention: `prompt` (chat messages), `data_source` (the task), `reward_model` (to grade by),
`extra_info` (index, split, level, and what is in the problem)."""


def write_problems(folder: str | Path, dataset: Dataset, task: str) -> None:
    """Write the card of a folder of problems, which has their description (dataset.json).

    Raises UserError if the description is missing or damaged.
    """
    name, stage = Path(folder).name, f"Stage {dataset.stage}, definitions {'visible' if dataset.stage == 1 else 'hidden'}"
    splits = _read(Path(folder, "dataset.json"))["splits"]
    rows = [
        [split, f"{facts['rows']:,}", ", ".join(facts["levels"]), _overlap(facts["overlap"])] for split, facts in splits.items()
    ]
    text = f"""# {name}

Problems of task `{task}` ({stage}), sampled by a program with fofg, after {cards.PAPER}.

{markdown(["split", "problems", "levels", "of these, also in"], rows)}
{_COLUMNS}

License: {cards.LICENSE}.
"""
    cards.write(folder, _data(name, Path(folder), cards.LICENSE, task.replace("_", "-")), text)


def write_examples(folder: str | Path, base_model: str, base_folder: str | Path) -> None:
    """Write the card of a folder of training examples, which has the account of their selection (selection.json).

    ``base_model``, ``base_folder``: the model that wrote the responses, or its ancestor; as a name, and where its card may be.
    Raises UserError if the account is missing or damaged.
    """
    facts, license = _read(Path(folder, "selection.json")), cards.license_of(base_folder)
    counts = {
        "problems": facts["problems"]["total"],
        "responses": facts["responses"]["total"],
        "dropped": sum(facts["responses"]["dropped"].values()),
        "selected": facts["responses"]["kept"],
    }
    name = "-".join(Path(folder).parts[-2:])
    text = f"""# {name}

Correct responses of a model to problems that it does not always solve, to fine-tune it on (rejection fine-tuning). Made with
fofg, after {cards.PAPER}.

{markdown(list(counts), [[f"{count:,}" for count in counts.values()]])}
{_COLUMNS} For other trainers, the conversation is also in `messages`, and in `prompt` and `completion`.

{cards.license_note(base_model, license)}
"""
    cards.write(folder, _data(name, Path(folder), license, "sft"), text)


def _overlap(overlap: dict[str, dict]) -> str:
    return ", ".join(f"{other} ({shared['problems']:,})" for other, shared in overlap.items() if shared["problems"]) or "–"


def _data(name: str, folder: Path, license: str | None, tag: str) -> DatasetCardData:
    """Return the hub's header. Splits without rows are left out: the hub can't load them."""
    files = {split: path for split in ("train", "test") if (path := folder / f"{split}.parquet").exists()}
    rows = {split: count_rows(path) for split, path in files.items()}
    data_files = [{"split": split, "path": files[split].name} for split in files if rows[split]]
    return DatasetCardData(
        configs=[{"config_name": "default", "data_files": data_files}],
        language="en",
        license=license,
        pretty_name=name,
        size_categories=next((category for end, category in _SIZES.items() if sum(rows.values()) < end), "1M<n<10M"),
        tags=[*cards.TAGS, tag],
        task_categories=["text-generation"],
    )


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: missing or damaged ({error}); remove it and run again") from None
