"""A killed run resumes, and its results equal those of an uninterrupted one."""

import os
import re
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from checkouts import TARGETS, Checkout, environment
from terminal import CTRL_C, Terminal

pytestmark = pytest.mark.slow


class Kill(NamedTuple):
    """A target and when its run is killed.

    ``ready``: files that show that complete state is saved, or, in a stage without state, that the job runs. ``log``: logs of a
    stage with state, which must report that it resumed. ``how``: kill the whole session at once (a power cut), or Snakemake alone,
    whose orphans must exit by themselves, or press Ctrl-C on its terminal.
    """

    target: str
    ready: str
    log: str | None = None
    how: str = "session"


DATA, MODELS, STATE = "data/string_task", "checkpoints/string-task", "checkpoints/string-task/.resume"
#: Removed from a finished run, so that each kind of work is done again.
REMOVED = (
    *(f"{DATA}/stage1_level1/{name}" for name in ("train.parquet", "roll*", "rft_data")),
    f"{MODELS}/stage1-rft",
    f"{MODELS}/stage2-rl-level1to2",
    "checkpoints/tiny-base",
    "logs",
)
#: Every kind of work, in an order in which each one finishes what the previous one left.
KILLS = [
    Kill("stage1_create_problems", "logs/create_problems/stage1*.log"),
    Kill(
        "stage1_create_train_data",
        f"{DATA}/stage1_level1/rollouts/.resume/*/*/*.parquet",
        "generate_rollouts/stage1_level1/*.log",
        how="snakemake",
    ),
    Kill("stage1_create_train_data", "logs/select_rft_data/stage1_level1.log"),
    Kill("stage1_rft", f"{STATE}/stage1-rft/*/checkpoint-*.pt", "train_sft/stage1-rft.log", how="Ctrl-C"),
    Kill("stage2_rl_level1to2", f"{STATE}/stage2-rl-level1to2/*/checkpoint-*.pt", "train_rl/level1to2.log"),
    Kill("tiny_base", "checkpoints/.resume/tiny-base/checkpoint.pt", "build_tiny_base.log"),
]
#: Bit-identical results. Metrics have seconds, and figures random IDs.
PROMISED = ("data/**/*.parquet", "data/**/*.json", "results/**/*.parquet", "results/*.csv", "checkpoints/**/model.safetensors")


def start_until_ready(checkout: Checkout, kill: Kill) -> Terminal:
    """Start the target in its own session, on a terminal, and wait until it is to be killed."""
    run = Terminal(checkout.command(kill.target), checkout.folder, environment())
    deadline = time.monotonic() + 1200
    while not any(checkout.folder.glob(kill.ready)):
        assert run.running(), f"the run ended before {kill.ready} was there"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return run


def results(folder: Path) -> dict[str, object]:
    found = {str(path.relative_to(folder)): path for pattern in PROMISED for path in folder.glob(pattern)}
    return {name: pq.read_table(path) if path.suffix == ".parquet" else path.read_bytes() for name, path in found.items()}


def remove(folder: Path, patterns: tuple[str, ...]) -> None:
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_run_killed_in_every_kind_of_work_resumes_to_the_same_results(finished, copied):
    remove(copied.folder, REMOVED)
    for kill in KILLS:
        run = start_until_ready(copied, kill)
        if kill.how == "Ctrl-C":
            run.press(CTRL_C)
            assert run.wait() == 1
            first, job, last = run.last_lines()
            assert (
                re.match(r"Stopped by Ctrl-C: \d+ of \d+ jobs are done and kept", first)
                and last == "Run the same command to resume."
            )
            assert re.fullmatch(r"  train_sft: stopped by Ctrl-C after step \d+ of \d+", job)
        else:
            (os.killpg if kill.how == "session" else os.kill)(run.pid, signal.SIGKILL)
            run.wait()
    copied.run(*dict.fromkeys([*TARGETS, *(kill.target for kill in KILLS)]))
    for log in filter(None, (kill.log for kill in KILLS)):
        messages = "".join(path.read_text() for path in copied.folder.glob(f"logs/{log}"))
        assert re.search(r"resuming after step [1-9]|\([1-9]\d* from an earlier run\)", messages), log
    expected = results(finished.folder)
    assert expected
    assert results(copied.folder) == expected


def test_a_disk_that_fills_up_is_named_at_the_end_and_the_run_resumes(checkout):
    """Where Snakemake itself can't write any more, it shows tracebacks; a limit on the size of its files is such a disk."""
    run = Terminal(checkout.command("stage1_create_problems"), checkout.folder, environment())
    while not list(checkout.folder.glob("logs/create_problems/*.log")):
        assert run.running()
        time.sleep(0.01)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (0, 0))
    assert run.wait() == 1
    assert re.search(r"error: .*/\.snakemake: File too large; .* or run in another folder", " ".join(run.last_lines()[-3:]))
    checkout.run("stage1_create_problems")
