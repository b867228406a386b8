"""Jobs that reach their time limit, are cancelled or preempted, lose their node or the process that submitted them.

They go on where they were: nothing is lost, nothing is made twice.
"""

import json
import os
import re
import shutil
import signal
import time
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from checkouts import SMALL
from cluster import wait_for

pytestmark = pytest.mark.slurm

RESUME = "checkpoints/string-task/.resume"
ROLLOUTS, SAMPLES = "data/string_task/stage1_level1/rollout.parquet", 16
SFT, RL = "checkpoints/string-task/stage1-rft", "checkpoints/string-task/stage2-rl-level1"
#: Training examples of the run on one machine.
EXAMPLES = "data/string_task/stage1_level1/rft_data/train.parquet"
#: Kind of work -> its rule, the file to ask Snakemake for, what shows that something is saved, and how much takes half a minute.
KINDS = {
    "rollouts": ("generate_rollouts", ROLLOUTS, "data/string_task/stage1_level1/rollouts/.resume/*/*/*.parquet", 75),
    "sft": (
        "train_sft",
        f"{SFT}/model.safetensors",
        f"{RESUME}/stage1-rft/*/checkpoint-*.pt",
        120,
    ),
    "rl": (
        "train_rl",
        f"{RL}/model.safetensors",
        f"{RESUME}/stage2-rl-level1/*/checkpoint-*.pt",
        15,
    ),
}


def settings(kind, alone, amount):
    """Of some minutes of one kind of work: problems to roll out, epochs of fine-tuning, or steps of reinforcement learning."""
    if kind == "rollouts":
        engine = {"shard_size": amount, "batch_size": SAMPLES}
        return {
            "datasets": {"stage1_level1": {"train": amount}},
            "stage1": {"rollouts": {"samples": SAMPLES}},
            "rollout_engine": engine,
        }
    if kind == "sft":
        data = str(alone.folder / "data/string_task/stage1_level1/rft_data")
        return {"use": {"stage1_rft_data": data}, "stage1": {"sft": {"epochs": amount}}, "training": {"save_every": 50}}
    curricula = {"level1": [{"steps": amount, "mixture": {"stage2_level1": 1}}]}
    return {
        "use": {"stage1_checkpoint": str(alone.folder / SFT)},
        "stage2": {"rl": {"curricula": curricula, "on_empty_step": "skip"}},
    }


class Work:
    """A run of one kind of work, in a folder of its own; ``resources``: of its rule, besides those that are computed."""

    def __init__(self, site, kind, alone, times=1, **resources):
        self.site, self.kind, self.run_dir, self.alone = site, kind, f"runs/{kind}", alone
        self.rule, result, self.saved, amount = KINDS[kind]
        self.amount, self.result = amount * times, f"{self.run_dir}/{result}"
        cluster = {"resources": {self.rule: resources}, "grace_period": 30}
        overlay = site.configure(kind, run_dir=self.run_dir, cluster=cluster, **settings(kind, alone, self.amount))
        self.overlays = [SMALL, overlay]
        self.run = self.submit()

    def submit(self):
        """More retries than the profile's, since a busy machine gets little done in a job's time."""
        return self.site.submit(self.result, overlays=self.overlays, more=["--retries", "9"])

    def logs(self):
        """Of every job of the rule, in the order in which they were submitted."""
        return [text for _, text in sorted(self.site.logs(self.rule).items(), key=lambda one: int(one[0]))]

    def begins(self):
        """Returns the number of the job that runs, as soon as it has saved something."""
        job = self.site.job(self.rule)
        wait_for(lambda: list(self.site.folder.glob(f"{self.run_dir}/{self.saved}")), "nothing is saved", 200)
        return job

    def check_whole(self, jobs):
        """All that was asked for is there once, and each job but the first went on where the one before had stopped."""
        logs = self.logs()
        assert len(logs) == jobs
        if self.kind == "rollouts":
            problems = pq.read_table(self.site.folder / self.run_dir / ROLLOUTS).to_pylist()
            assert len({row["extra_info"]["index"] for row in problems}) == len(problems)
            assert all(len(row["responses"]) == SAMPLES for row in problems)
            stopped = [re.search(r"stopped .* with (\d+) of", text)[1] for text in logs[:-1]]
            assert [re.search(r"\((\d+) from an earlier run\)", logs[-1])[1]] == stopped[-1:]
        else:
            lines = (self.site.folder / self.result).with_name("metrics.jsonl").read_text().splitlines()
            steps = [step for line in lines if (step := json.loads(line)["step"])]
            per_epoch = pq.read_metadata(self.alone.folder / EXAMPLES).num_rows if self.kind == "sft" else 1
            total = self.amount * per_epoch
            assert steps == list(range(1, total + 1))
            for before, after in pairwise(logs):
                step = re.search(rf"stopped .* after step (\d+) of {total}", before)[1]
                assert f"resuming after step {step} of {total}" in after


def test_a_job_that_is_told_before_its_time_limit_saves_and_goes_on(site, alone):
    """Two minutes, of which it is told after one and a half, for work of more."""
    work = Work(site, "rollouts", alone, times=6, runtime=2)
    work.run.wait()
    logs = work.logs()
    assert len(logs) > 1
    assert all("stopped before the time limit" in text for text in logs[:-1])
    work.check_whole(len(logs))


def test_a_cancelled_job_saves_and_is_submitted_again(site, alone):
    work = Work(site, "sft", alone)
    site.cluster.ask("scancel", work.begins())
    work.run.wait()
    assert "stopped by SIGTERM" in work.logs()[0]
    work.check_whole(jobs=2)


def test_a_preempted_job_saves_and_goes_on(site, alone):
    work = Work(site, "rl", alone)
    work.begins()
    urgent = site.cluster.ask(
        "sbatch", "--parsable", "-p", "urgent", "-N2", "--exclusive", "-t1", "-o/dev/null", "--wrap", "sleep 3"
    )
    wait_for(lambda: urgent.strip() not in site.cluster.queue(), "the urgent job stays", 120)
    work.run.wait()
    assert "stopped by SIGTERM" in work.logs()[0]
    work.check_whole(jobs=2)


def test_jobs_of_a_node_that_is_lost_go_on_elsewhere(site, alone):
    """Without a warning: what was finished is kept, and the job keeps its number."""
    work = Work(site, "rollouts", alone)
    job = work.begins()
    node = site.cluster.ask("squeue", "--noheader", "--job", job, "--format", "%N").strip()
    kept = len(list(site.folder.glob(f"{work.run_dir}/{work.saved}")))
    site.cluster.set_down(node)
    try:
        assert site.job(work.rule) == job
        assert site.cluster.ask("squeue", "--noheader", "--job", job, "--format", "%N").strip() != node
        work.run.wait()
    finally:
        site.cluster.set_up(node)
    resumed = int(re.search(r"\((\d+) from an earlier run\)", work.logs()[-1])[1])
    assert resumed >= kept * SAMPLES
    # The target of the plan also creates the problems' own file and selects; rollouts alone are asked for here.
    assert work.run.submitted() == sum(site.planned("stage1_create_train_data", overlays=work.overlays).values()) - 2


def test_the_main_process_is_killed_and_its_jobs_go_on(site, alone):
    """A later run waits for them, takes what they made, and still sees what changes afterwards."""
    work = Work(site, "rollouts", alone)
    job = work.begins()
    work.run.kill()
    second = work.submit().fail()
    assert "Directory cannot be locked" in second
    (site.folder / ".snakemake/locks").rename(site.folder / ".snakemake/unlocked")
    assert "1 jobs of a killed run are still in the queue" in work.submit().fail()
    (site.folder / ".snakemake/unlocked").rename(site.folder / ".snakemake/locks")

    released = site.program("fofg", "unlock")
    assert released.returncode == 0 and "waiting for jobs of a run that was killed: 1 running" in released.stderr
    assert job not in site.cluster.queue()
    made = site.folder / work.run_dir / "data/string_task/stage1_level1/rollouts/0.parquet"
    born = made.stat().st_mtime_ns
    time.sleep(1)
    again = work.submit()
    again.wait()
    assert again.submitted() == 1 and made.stat().st_mtime_ns == born
    assert len(site.logs("generate_rollouts")) == 1
    changed = site.configure("changed", stage1={"rollouts": {"temperature": 0.5}})
    assert "generate_rollouts" in site.local(work.result, overlays=[*work.overlays, changed], more=["--dry-run"])
    assert "Nothing to be done" in site.local(work.result, overlays=work.overlays, more=["--dry-run"])


def test_ctrl_c_cancels_the_jobs_and_the_same_command_goes_on(site, alone, monkeypatch):
    """While the queue is asked for the jobs' states, too: at that moment Snakemake itself has no job to cancel."""
    asked = _make_squeue_slow(site.folder / "slow", monkeypatch)
    work = Work(site, "sft", alone, times=2)
    job = work.begins()
    asked.unlink(missing_ok=True)
    wait_for(asked.exists, "the queue is not asked")
    work.run.process.send_signal(signal.SIGINT)
    work.run.fail()
    wait_for(lambda: job not in site.cluster.queue(), "the job stays")
    work.submit().wait()
    work.check_whole(jobs=2)


def _make_squeue_slow(folder, monkeypatch):
    """Put first on PATH a squeue that answers about named jobs after 3 s; return a file that it makes when it is asked."""
    folder.mkdir()
    asked, slow = folder / "asked", folder / "squeue"
    slow.write_text(f'#!/bin/sh\ncase "$*" in *--name*) touch {asked}; sleep 3 ;; esac\nexec {shutil.which("squeue")} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return asked
