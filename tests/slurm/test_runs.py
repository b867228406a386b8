"""Whole runs on a real SLURM cluster: from the first problem to the figures, two at once, and what it refuses."""

import re

import pyarrow.parquet as pq
import pytest
from checkouts import SMALL

pytestmark = pytest.mark.slurm

#: Name of a run -> the seed of its problems.
RUNS = {"one": 1, "two": 2}


def rows(site, path):
    return pq.read_table(site.folder / path).to_pylist()


def test_stage_1_from_problems_to_figures_is_that_of_one_machine(site, alone):
    """Every job is submitted once, and the files are those that the same machine makes without a cluster."""
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


def test_two_runs_at_once_in_folders_of_their_own(site):
    """One checkout, two run_dirs: neither waits for the other or takes its jobs, locks or files."""
    overlays = {name: [SMALL, site.configure(name, run_dir=f"runs/{name}", problems={"seed": seed})] for name, seed in RUNS.items()}
    runs = {name: site.submit("stage1_create_train_data", overlays=files) for name, files in overlays.items()}
    for name, run in runs.items():
        run.wait()
        assert run.submitted() == sum(site.planned("stage1_create_train_data", overlays=overlays[name]).values())
        told = site.local("stage1_create_train_data", overlays=overlays[name], more=["--dry-run"])
        assert "Nothing to be done" in told
    first, second = (rows(site, f"runs/{name}/data/string_task/stage1_level1/rollout.parquet") for name in RUNS)
    assert len(first) == len(second) == 24 and first != second


def test_a_group_of_a_sweeps_jobs_is_one_submission_that_requests_what_one_job_needs(site, alone):
    """Two learning rates of RL and their tests: four jobs, one after another, in one submission, with the time of all."""
    rates = ("0.0001", "0.0003")
    overlay = site.configure(
        "sweep",
        use={"stage1_checkpoint": str(alone.folder / "checkpoints/string-task/stage1-rft")},
        sweep={"stage2.rl.learning_rate": list(map(float, rates))},
        evaluation={"greedy": False},
        cluster={
            "grace_period": 30,
            "resources": {
                "train_rl": {"mem_mb": 1500, "runtime": 5},
                "generate_held_out_rollouts": {"mem_mb": 1000, "runtime": 4},
            },
        },
    )
    targets = [f"sweep/stage2.rl.learning_rate={rate}/results/evaluation/stage2-rl-level1/verdicts.parquet" for rate in rates]
    groups = ["--groups", "train_rl=point", "generate_held_out_rollouts=point", "--group-components", "point=10"]
    run = site.submit(*targets, overlays=[SMALL, overlay], more=groups)
    number = site.job("train_rl")
    run.wait()
    # The others: the Stage-1 model, the problems to train on and those to test with.
    assert run.submitted() == 4
    request = site.cluster.ask("squeue", "--noheader", "--states=all", "--job", number, "--format", "%D nodes %C CPUs %m %l")
    assert request.strip() == "1 nodes 1 CPUs 1500M 18:00"
    assert all(rows(site, target) for target in targets)
    assert "Nothing to be done" in site.local(*targets, overlays=[SMALL, overlay], more=["--dry-run"])


def test_what_the_cluster_lacks_is_told_in_a_sentence_before_anything_is_submitted(site):
    settings = ["--set-resources", "select_rft_data:mem_mb=9000"]
    said = (run := site.submit("stage1_create_train_data", overlays=[SMALL], more=settings)).fail()
    assert (
        "asks for 1 x (9,000 MB, 1 CPUs, 0 GPUs" in said
        and "partition cpu has nodes 2 x (8,000 MB, 4 CPUs, 2 GPUs, 60 minutes)" in said
    )
    assert run.submitted() == 0 and "Traceback" not in said
    assert not site.cluster.queue("%i")


def test_what_only_the_cluster_knows_is_told_in_its_own_words(site):
    more = ["--set-resources", "prepare_base_model:constraint=nowhere", "--retries", "0"]
    said = site.submit("stage1_create_train_data", overlays=[SMALL], more=more).fail()
    assert re.search(r"sbatch: error: .*[Ii]nvalid feature", said)
