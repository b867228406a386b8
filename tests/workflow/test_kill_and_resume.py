"""Kill a run at any place, start it again: it goes on, and the result is that of a run that was never killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from checkouts import Checkout, environment

pytestmark = pytest.mark.slow


class Kill(NamedTuple):
    """A target, what is removed of a finished run so that it has something to do, and when it is killed.

    ``ready``: files that show that there is whole state to resume from, or, of a stage that keeps none, that it runs. ``log``:
    logs of that stage; given if it must say that it went on. ``whole_session``: everything at once (a power cut), or Snakemake
    alone, whose orphans must stop by themselves.
    """

    target: str
    removed: tuple[str, ...]
    ready: str
    log: str | None = None
    whole_session: bool = True


DATA, MODELS, STATE = "data/string_task", "checkpoints/string-task", "checkpoints/string-task/.resume"
KILLS = [
    Kill("stage1_create_problems", (f"{DATA}/stage1_level1",), "logs/create_problems/stage1*.log"),
    Kill(
        "stage1_create_train_data",
        (f"{DATA}/stage1_level1/roll*", f"{DATA}/stage1_level1/rft_data"),
        f"{DATA}/stage1_level1/rollouts/.resume/*/*/*.parquet",
        "generate_rollouts/stage1_level1/*.log",
        whole_session=False,
    ),
    Kill("stage1_rft", (f"{MODELS}/stage1-rft",), f"{STATE}/stage1-rft/*/checkpoint-*/complete.json", "train_sft/stage1-rft.log"),
    Kill(
        "stage1_rft",
        (f"{MODELS}/stage1-rft",),
        f"{STATE}/stage1-rft/*/checkpoint-*/complete.json",
        "train_sft/stage1-rft.log",
        whole_session=False,
    ),
    Kill("stage2_create_problems", (f"{DATA}/stage2_*/t*.parquet", f"{DATA}/*/dataset.json"), "logs/create_problems/stage2*.log"),
    Kill("stage2_rft_create_problems", (f"{DATA}/stage2_level2_rft",), "logs/create_chunk/*.log"),
    Kill(
        "stage2_rft_create_train_data",
        (f"{DATA}/stage2_rft_level2/iter1", f"{DATA}/stage2_rft_level2/r*"),
        f"{DATA}/stage2_rft_level2/iter1/rollouts/.resume/*/*/*.parquet",
        "generate_rollouts/stage2_rft_level2/iter1/*.log",
    ),
    Kill(
        "stage2_rft_train",
        (f"{MODELS}/stage2-rft*",),
        f"{STATE}/stage2-rft-iter0/*/checkpoint-*/complete.json",
        "train_sft/stage2-rft-iter0.log",
    ),
    Kill(
        "stage2_rft_train",
        (f"{DATA}/stage2_rft_level2", f"{MODELS}/stage2-rft*"),
        f"{DATA}/stage2_rft_level2/iter0/rollouts/.resume/*/*/*.parquet",
        "generate_rollouts/stage2_rft_level2/iter0/*.log",
        whole_session=False,
    ),
    *(
        Kill(
            f"stage2_rl_{name}",
            (f"{MODELS}/stage2-rl-{name}",),
            f"{STATE}/stage2-rl-{name}/*/checkpoint-*/complete.json",
            f"train_rl/{name}.log",
            whole_session,
        )
        for name, whole_session in (("level1", True), ("level2", False), ("level1to2", True))
    ),
    Kill(
        "evaluate",
        ("results/evaluation/*/held-out", "results/evaluation/*/verdicts.parquet", "results/accuracy.*"),
        "results/evaluation/*/held-out/*/.resume/*/*.parquet",
        "generate_held_out_rollouts/*.log",
    ),
    Kill(
        "passk",
        ("results/passk", "results/passk.*"),
        "results/passk/*/rollouts/.resume/*/*/*.parquet",
        "generate_passk_rollouts/*/*.log",
    ),
    Kill("analyze_failures", ("results/evaluation/*/failures.parquet", "results/failures.*"), "logs/classify_failures/*.log"),
    Kill("figures", ("results/figures",), "logs/plot_*.log"),
    Kill("all", ("results",), "results/evaluation/*/held-out/*/.resume/*/*.parquet", "generate_held_out_rollouts/*.log"),
    Kill("tiny_base", ("checkpoints/tiny-base",), "checkpoints/.resume/tiny-base/checkpoint.pt", "build_tiny_base.log"),
]
#: What a run promises to reproduce to the bit. Metrics hold seconds, figures the random numbers of their ids.
PROMISED = ("data/**/*.parquet", "data/**/*.json", "results/**/*.parquet", "results/*.csv", "checkpoints/**/model.safetensors")


@pytest.fixture
def copied(finished, tmp_path) -> Checkout:
    """A finished run of one's own."""
    folder = tmp_path / "fofg"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Checkout(folder)


def start_until_ready(checkout: Checkout, kill: Kill) -> subprocess.Popen:
    """Starts the target in a session of its own and waits until it has come to where it is to be killed."""
    run = subprocess.Popen(
        checkout.command(kill.target),
        cwd=checkout.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not any(checkout.folder.glob(kill.ready)):
        assert run.poll() is None, f"the run ended before {kill.ready} was there"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return run


def results(folder: Path) -> dict[str, object]:
    found = {str(path.relative_to(folder)): path for pattern in PROMISED for path in folder.glob(pattern)}
    return {name: pq.read_table(path) if path.suffix == ".parquet" else path.read_bytes() for name, path in found.items()}


def remove(folder: Path, patterns: tuple[str, ...]) -> None:
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: f"{kill.target}-{'session' if kill.whole_session else 'snakemake'}")
def test_a_killed_target_goes_on_and_ends_the_same(finished, copied, kill):
    remove(copied.folder, (*kill.removed, "logs"))
    run = start_until_ready(copied, kill)
    (os.killpg if kill.whole_session else os.kill)(run.pid, signal.SIGKILL)
    run.wait()
    subprocess.run([sys.executable, "-m", "fofg", "unlock"], cwd=copied.folder, env=environment(), check=True)
    copied.run(kill.target)
    if kill.log:
        logs = "".join(path.read_text() for path in copied.folder.glob(f"logs/{kill.log}"))
        assert re.search(r"going on after step [1-9]|\([1-9]\d* from an earlier run\)", logs), "it began anew"
    copied.run("all", "tiny_base")
    expected = results(finished.folder)
    assert expected
    assert results(copied.folder) == expected
