"""Choosing the published sampler is enough to get the published problems, whatever else the configuration says."""

import json

import pyarrow.parquet as pq
from checkouts import ROOT, snakemake

from fofg.config import load, read
from fofg.specs import problems

DEFAULT = ROOT / "config/default.yaml"


def test_the_published_sampler_alone_gives_the_published_rows(checkout):
    folder = checkout.folder
    done = snakemake(
        "stage1_create_problems", "--cores", "2", "--config", "problems={sampler: paper}", "run_dir=run", folder=folder
    )
    assert done.returncode == 0, done.stderr
    for split in ("train", "test"):
        rows = pq.read_table(folder / f"run/data/string_task/stage1_level1/{split}.parquet").to_pylist()
        truths = [json.loads(row["reward_model"]["ground_truth"]) for row in rows]
        made = [{"expression": t["expression"], "input": t["ref_input"], "output": t["ref_output"]} for t in truths]
        lines = (ROOT / f"tests/reference/problems_stage1_level1_{split}.jsonl").read_text().splitlines()
        assert made[: len(lines)] == [json.loads(line) for line in lines]


def test_settings_that_the_published_sampler_ignores_rerun_nothing():
    values = read([DEFAULT])
    values["problems"]["sampler"] = "paper"
    spec = problems(load(values), "stage1_level1", "train").text()
    values["problems"] |= {"input_length": [4, 5], "max_output_length": 9}
    assert problems(load(values), "stage1_level1", "train").text() == spec
