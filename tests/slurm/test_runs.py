"""Whole runs on a real SLURM cluster: from problems to figures, two at once, and requests that the cluster can't meet."""

import pyarrow.parquet as pq
import pytest
from checkouts import SMALL

pytestmark = pytest.mark.slurm

#: Name of a run -> the seed of its problems.
RUNS = {"one": 1, "two": 2}


def rows(site, path):
    return pq.read_table(site.folder / path).to_pylist()


def test_stage_1_on_the_cluster_equals_stage_1_on_one_machine(site, alone):
    """Every job is submitted once, and the files equal those of a run without a cluster."""
    planned = site.planned("stage1_rft", overlays=[SMALL])
    run = site.submit("stage1_rft", overlays=[SMALL])
    run.wait()
    assert run.submitted() == sum(planned.values())
    assert {rule: len(site.logs(rule)) for rule in planned} == planned
    assert "Nothing to be done" in site.local("stage1_rft", overlays=[SMALL], more=["--dry-run"])

    for path in ("rollout", "rft_data/train", "rft_data/test"):
        name = f"data/string_task/stage1_level1/{path}.parquet"
        assert rows(site, name) == rows(alone, name)
    for name in ("checkpoints/string-task/stage1-rft/model.safetensors", "results/stage1_accuracy.csv"):
        assert (site.folder / name).read_bytes() == (alone.folder / name).read_bytes()
    assert (site.folder / "results/figures/stage1_accuracy.svg").exists()


def test_two_runs_at_once_in_separate_folders(site):
    """One checkout, two run_dirs: neither run waits for the other or shares jobs, locks or files with it."""
    overlays = {name: [SMALL, site.configure(name, run_dir=f"runs/{name}", problems={"seed": seed})] for name, seed in RUNS.items()}
    runs = {name: site.submit("stage1_create_train_data", overlays=files) for name, files in overlays.items()}
    for name, run in runs.items():
        run.wait()
        assert run.submitted() == sum(site.planned("stage1_create_train_data", overlays=overlays[name]).values())
        dry_run = site.local("stage1_create_train_data", overlays=overlays[name], more=["--dry-run"])
        assert "Nothing to be done" in dry_run
    first, second = (rows(site, f"runs/{name}/data/string_task/stage1_level1/rollout.parquet") for name in RUNS)
    assert len(first) == len(second) == 24 and first != second


def test_resources_that_the_cluster_lacks_are_an_error_before_any_submission(site):
    settings = ["--set-resources", "select_rft_data:mem_mb=9000"]
    output = (run := site.submit("stage1_create_train_data", overlays=[SMALL], more=settings)).fail()
    assert (
        "asks for 1 x (9,000 MB, 2 CPUs, 0 GPUs" in output
        and "partition cpu has nodes 2 x (8,000 MB, 4 CPUs, 2 GPUs, 60 minutes)" in output
    )
    assert run.submitted() == 0 and "Traceback" not in output
    assert not site.cluster.queue("%i")
