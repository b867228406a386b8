"""Results of a made-up experiment in the real schemas, for figures and summary."""

import json
from itertools import combinations
from pathlib import Path

from fofg.data.files import write_parquet
from fofg.data.schemas import ACCURACY, COMPARISONS, FAILURE_SHARES, PASSK
from fofg.evaluation.accuracy import wilson

ITERATIONS = ["stage2-rft-iter0", "stage2-rft-iter1", "stage2-rft-iter2"]
CURRICULA = ["stage2-rl-level1", "stage2-rl-level2", "stage2-rl-level1to2"]
MODELS = ["base", "stage1-rft", *ITERATIONS, *CURRICULA]


def accuracy(
    models=MODELS, levels=range(1, 9), decodings=("sampled", "greedy"), problems: int = 64, samples: int = 2
) -> list[dict]:
    """Return rows of ACCURACY: model n solves n + 1 of ten problems of Level 1, and a tenth of that at each next level."""
    rows = []
    for position, model in enumerate(models):
        for decoding in decodings:
            for level in levels:
                share = min(10, position + 1) / 10**level
                low, high = wilson(share, problems)
                counts = {"problems": problems, "samples": problems * (samples if decoding == "sampled" else 1)}
                counts |= {"correct": round(share * counts["samples"]), "answered": problems, "truncated": 0}
                rows.append(
                    {
                        "model": model,
                        "seed": 0,
                        "decoding": decoding,
                        "level": level,
                        **counts,
                        "accuracy": share,
                        "low": low,
                        "high": high,
                    }
                )
    return rows


def comparisons(models=MODELS[-3:], levels=(1, 2), p: float = 0.01) -> list[dict]:
    """Return rows of COMPARISONS: each model is 10 points ahead of the one before it, at Level 1 with a p-value below 0.05."""
    rows = []
    for level in levels:
        for other, model in combinations(models, 2):
            ahead = 0.1 * (models.index(model) - models.index(other))
            sizes = {"seeds": 1, "problems": 64, "samples": 1, "accuracy": 0.2 + ahead, "other_accuracy": 0.2}
            found = {"difference": ahead, "low": ahead - 0.05, "high": ahead + 0.05, "error": 0.02, "p": p * level}
            rows.append({"level": level, "model": model, "other": other, **sizes, **found})
            rows[-1] |= {"p_holm": 4 * p * level, "detectable": 0.15 * level}
    return rows


def passk(models=("base", "stage1-rft", "stage2-rl-level1to2"), levels=range(1, 7), counts=(1, 2, 4, 8, 16, 32, 64)):
    """Return rows of PASSK: one right response in ``2 ** level / (position + 1)`` on every problem."""
    rows = []
    for position, model in enumerate(models):
        for level in levels:
            for k in counts:
                share = 1 - (1 - min(1, (position + 1) / 2**level)) ** k
                low, high = wilson(share, 16)
                rows.append(
                    {
                        "model": model,
                        "seed": 0,
                        "level": level,
                        "k": k,
                        "problems": 16,
                        "samples": 16 * max(counts),
                        "pass_at_k": share,
                    }
                )
                rows[-1] |= {"low": low, "high": high}
    return rows


def failures(classes, models=MODELS, levels=(2, 3, 4), responses: int = 64) -> list[dict]:
    """Return rows of FAILURE_SHARES: as many are correct as the model's position; the rest has the class number of the level."""
    rows = []
    for position, model in enumerate(models):
        for level in levels:
            found = {classes[0]: position, classes[level]: responses - position}
            for name in classes:
                count = found.get(name, 0)
                rows.append(
                    {"model": model, "seed": 0, "level": level, "failure": name, "responses": count, "share": count / responses}
                )
    return rows


def metrics(levels=(1, 2), steps: int = 6, validated=(1, 2, 3, 4), phases: int = 1) -> list[dict]:
    """Return records of an RL run, validated every second step, 40 seconds per step; step 1 keeps no group."""
    records = []
    for step in range(steps + 1):
        record = {"step": step}
        if step:
            by_level = {f"accuracy_level{level}": step / (10 * level) for level in levels}
            share = sum(by_level.values()) / len(by_level)
            record |= {"phase": (step - 1) * phases // steps, "loss": 0.01, "reward": 2 * share - 1, "accuracy": share, **by_level}
            record |= {"tokens": 1000 * step}
            drawn = 32 * sum((number - 1) * phases // steps == record["phase"] for number in range(1, step + 1))
            record |= {"groups": 32, "prompts_drawn": drawn, "groups_kept": 0 if step == 1 else 20, "seconds": 40.0 * step}
            record |= {"response_length": 50.0, "entropy": 1 / step, "grad_norm": 0.1, "clip_fraction": 0.0, "truncated": 0.0}
        if validated and step % 2 == 0:
            record |= {f"validation_accuracy_level{level}": step / (8 * level) for level in validated}
            record["validation_accuracy"] = step / 16
        records.append(record)
    return records


def description(dataset: str, overlap: dict[str, int] | None = None, **splits: dict[str, int]) -> dict:
    """Return what describe_datasets writes: split -> public name -> calls; ``overlap``: other file -> shared problems."""
    return {
        "dataset": dataset,
        "splits": {
            split: {
                "rows": sum(calls.values()),
                "overlap": {name: {"problems": count, "inputs": count} for name, count in (overlap or {}).items()},
                "exposure": {f"f{name}": {"public_name": name, "problems": count, "calls": count} for name, count in calls.items()},
            }
            for split, calls in splits.items()
        },
    }


def write_metrics(folder: Path, model: str, records: list[dict]) -> Path:
    """Write the metrics of a run into its model's folder."""
    path = folder / model / "metrics.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    (path.parent / "spec.json").write_text(json.dumps({"rl": {"rollouts": {"samples": 8}}}))
    (path.parent / "validation.json").write_text(json.dumps({"problems": 32}))
    return path


def write_selection(folder: Path, model: str, examples: int = 300) -> Path:
    """Write the report of an iteration's selection from 2,000 responses."""
    path = folder / f"{model}.json"
    path.write_text(json.dumps({"responses": {"total": 2000}, "examples": {"train": examples}}))
    return path


def write(folder: Path, classes) -> dict[str, Path]:
    """Write all tables and the metrics of one run per curriculum. Return file by name."""
    files = {name: folder / f"{name}.parquet" for name in ("accuracy", "comparisons", "passk", "failures")}
    write_parquet(files["accuracy"], ACCURACY, [accuracy()])
    write_parquet(files["comparisons"], COMPARISONS, [comparisons()])
    write_parquet(files["passk"], PASSK, [passk()])
    write_parquet(files["failures"], FAILURE_SHARES, [failures(classes)])
    files["dataset"] = folder / "dataset.json"
    files["dataset"].write_text(json.dumps(description("evaluation", {"atoms/train": 0, "pairs/test": 9}, test={"func_0": 512})))
    for number, model in enumerate(ITERATIONS):
        files[model] = write_metrics(folder, model, [{"step": 9, "tokens": 5000}])
        files[f"{model} selection"] = write_selection(folder, model, 300 + number)
    return files | {model: write_metrics(folder, model, metrics()) for model in CURRICULA}
