"""Kill a run at any place, start it again: it goes on, and the result is that of a run that was never killed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from checkouts import environment

pytestmark = pytest.mark.slow

#: Stage -> files that show that there is whole state to resume from.
STATE = {
    "generate_rollouts": "data/string_task/stage1_level1/rollouts/.resume/*/*/*.parquet",
    "train_sft": "checkpoints/string-task/.resume/stage1-rft/*/checkpoint-*/complete.json",
    "build_tiny_base": "checkpoints/.resume/tiny-base/checkpoint.pt",
}
#: Stage -> its logs.
LOG = {"generate_rollouts": "generate_rollouts/*.log", "train_sft": "train_sft.log", "build_tiny_base": "build_tiny_base.log"}
#: Target -> files that a killed run must end with as any other.
PROMISED = {
    "all": ("data/**/*.parquet", "results/**/*.parquet", "results/*.csv", "checkpoints/string-task/*/model.safetensors"),
    "tiny_base": ("checkpoints/tiny-base/model.safetensors",),
}


def start_until_state(checkout, stage: str, target: str) -> subprocess.Popen:
    """Starts a run in a session of its own and waits until the stage has left state to resume from."""
    run = subprocess.Popen(
        checkout.command(target),
        cwd=checkout.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not any(checkout.folder.glob(STATE[stage])):
        assert run.poll() is None, f"the run ended before {stage} left any state"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return run


def results(folder: Path, target: str) -> dict[str, object]:
    """Everything that a run promises to reproduce: data, weights, accuracy."""
    found = {str(path.relative_to(folder)): path for pattern in PROMISED[target] for path in folder.glob(pattern)}
    return {name: pq.read_table(path) if path.suffix == ".parquet" else path.read_bytes() for name, path in found.items()}


@pytest.mark.parametrize(
    ("stage", "whole_session"), [("generate_rollouts", False), ("train_sft", True), ("train_sft", False), ("build_tiny_base", True)]
)
def test_a_killed_run_goes_on_and_ends_the_same(finished, checkout, stage, whole_session):
    """SIGKILL for Snakemake alone (its orphans must stop by themselves) or for the whole session at once (a power cut)."""
    target = "tiny_base" if stage == "build_tiny_base" else "all"
    run = start_until_state(checkout, stage, target)
    (os.killpg if whole_session else os.kill)(run.pid, signal.SIGKILL)
    run.wait()
    subprocess.run([sys.executable, "-m", "fofg", "unlock"], cwd=checkout.folder, env=environment(), check=True)
    checkout.run(target)
    logs = "".join(path.read_text() for path in checkout.folder.glob(f"logs/**/{LOG[stage]}"))
    assert re.search(r"going on after step [1-9]|\([1-9]\d* from an earlier run\)", logs), "it began anew"
    expected = results(finished.folder, target)
    assert expected
    assert results(checkout.folder, target) == expected
