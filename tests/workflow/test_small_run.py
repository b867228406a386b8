"""The files of a finished small run: every target's output, iterations that build on one another, disjoint splits."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, ModelCard

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHARES = ("start_and_end_of_model_jobs", "other_jobs", "no_job_running", "too_few_jobs", "arithmetic")
STAGE2 = "data/string_task/stage2"
KEY_FILES = [
    *(f"data/string_task/stage1_level1/{name}" for name in ("train.parquet", "test.parquet", "rollout.parquet", "dataset.json")),
    *(f"{STAGE2}_{name}/{split}" for name in ("level1", "level2", "level1to2") for split in ("train.parquet", "dataset.json")),
    *(f"{STAGE2}_level1to8/{name}" for name in ("test.parquet", "dataset.json")),
    *(f"{STAGE2}_level2_rft/{iteration}.parquet" for iteration in (0, 1)),
    *(f"{STAGE2}_rft_level2/{name}" for name in ("rollout.parquet", "rft_data/train.parquet", "rft_data/test.parquet")),
    *(f"{STAGE2}_rft_level2/iter{iteration}/rollout.parquet" for iteration in (0, 1)),
    *(
        f"checkpoints/string-task/{model}/{name}"
        for model in ("stage1-rft", "stage2-rft", "stage2-rl-level1", "stage2-rl-level2", "stage2-rl-level1to2")
        for name in ("model.safetensors", "config.json", "tokenizer.json", "generation_config.json", "metrics.jsonl")
    ),
    *(f"results/{table}.{kind}" for table in ("accuracy", "comparisons", "passk", "failures") for kind in ("parquet", "csv")),
    *(
        f"results/figures/{name}.{kind}"
        for name in (
            "accuracy_by_level",
            "learning_curves",
            "training_dynamics",
            "pass_at_k",
            "failures",
            "exposure",
            "stage1_selection",
        )
        for kind in ("svg", "png")
    ),
    "results/comparisons.md",
    "results/summary.md",
    "results/samples.html",
    "results/versions.md",
]


def test_key_outputs_have_the_originals_paths(finished):
    assert [name for name in KEY_FILES if not (finished.folder / name).is_file()] == []


def test_each_iteration_of_rft_learns_from_the_model_before_it(finished):
    models = finished.folder / "checkpoints/string-task"
    weights = [
        (models / name / "model.safetensors").read_bytes() for name in ("stage1-rft", "stage2-rft-iter0", "stage2-rft-iter1")
    ]
    assert len(set(weights)) == 3
    assert (models / "stage2-rft/model.safetensors").read_bytes() == weights[2]
    for iteration in (0, 1):
        folder = finished.folder / f"data/string_task/stage2_rft_level2/iter{iteration}"
        assert json.loads((folder / "rft_data/selection.json").read_text())["examples"]["train"] > 0
        chunk = pq.read_table(finished.folder / f"data/string_task/stage2_level2_rft/{iteration}.parquet")
        rolled_out = pq.read_table(folder / "rollout.parquet")
        assert rolled_out.select(chunk.column_names) == chunk
    assert pq.read_schema(folder / "rollout.parquet").metadata != pq.read_schema(folder.parent / "iter0/rollout.parquet").metadata


def test_training_and_evaluation_problems_are_disjoint(finished):
    described = [json.loads(path.read_text()) for path in finished.folder.glob("data/string_task/*/dataset.json")]
    overlaps = {
        (f"{one['dataset']}/train", other): overlap["problems"]
        for one in described
        for other, overlap in one["splits"].get("train", {}).get("overlap", {}).items()
        if other.endswith("/test")
    }
    assert len(overlaps) >= 12
    assert set(overlaps.values()) == {0}


def test_the_time_of_a_run_is_accounted_for(finished):
    """Each job that runs a model reports its arithmetic; the shares of the run's time add up."""
    command = [sys.executable, ROOT / "benchmarks/run_time.py", finished.folder, "--cores", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *shares, arithmetic = [json.loads(done.stdout)[name] for name in SHARES]
    assert 0.95 < sum(shares) + arithmetic < 1.05 and 0 < arithmetic < 1
    rows = {rule: float(computed) for rule, *_, computed, _ in map(str.split, done.stderr.splitlines()[1:])}
    models = {rule for rule in rows if rule.startswith(("train", "generate"))}
    assert {rule for rule, computed in rows.items() if computed} == models and len(models) == 6


def test_cards_lie_beside_every_trained_model_and_every_dataset(copied):
    copied.run("publish")
    models = {path.parent for path in copied.folder.glob("checkpoints/string-task/*/metrics.jsonl")}
    assert len(models) == 7  # stage1-rft, two iterations, stage2-rft, three curricula
    for folder in models:
        assert len(ModelCard.load(folder / "README.md").data.eval_results) == 16
    datasets = {path.parent for name in ("dataset.json", "selection.json") for path in copied.folder.glob(f"data/**/{name}")}
    for folder in (folder for folder in datasets if "iter" not in folder.parent.name):
        (config,) = DatasetCard.load(folder / "README.md").data.configs
        assert all((folder / split["path"]).exists() for split in config["data_files"])
    assert copied.stale(targets=("publish",)) == {}
