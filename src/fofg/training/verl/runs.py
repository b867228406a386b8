"""Run one of verl's trainers, and turn its last checkpoint into a model."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fofg.errors import UserError
from fofg.models import weights
from fofg.runtime import subprocesses
from fofg.runtime.signals import request_stop, stop_reason
from fofg.training.metrics import Record
from fofg.training.run import Run, stop_error
from fofg.training.verl.protocol import DRAWN, ERROR, LINES, STOP, TRACKER, last_step
from fofg.training.verl.records import Follower, Lines
from fofg.training.verl.settings import ATTENTION


def world_folder(folder: Path, workers: int) -> Path:
    """Return the run folder for this number of GPUs: FSDP shards can't be resumed on another. Warn about checkpoints of others."""
    result = folder.with_name(f"{folder.name}-{workers}").absolute()
    for other in result.parent.glob(f"{folder.name}-*"):
        if other.name != result.name and (step := last_step(other)):
            number = other.name.rpartition("-")[2]
            message = f"not resuming from step {step}, which was made on {number} GPUs, not {workers}"
            print(f"{message}; to resume from there, set training.gpus and nodes back", file=sys.stderr)
    return result


def lines(folder: Path) -> Lines:
    """Return verl's metrics up to a run's last checkpoint."""
    return Lines(folder / LINES, last_step(folder), folder / DRAWN)


def remove_incomplete(folder: Path) -> None:
    """Remove checkpoints that a kill or a full disk left incomplete: those after the last complete one. Each can be 100 GB."""
    done = last_step(folder)
    if not done and (folder / TRACKER).exists():  # damaged: any of them may be complete
        return
    for checkpoint in folder.glob("global_step_*"):
        if int(checkpoint.name.removeprefix("global_step_")) > done:
            shutil.rmtree(checkpoint)


def follow(
    run: Run,
    command: Sequence[str],
    folder: Path,
    history: Lines,
    convert: Callable[[list[dict]], list[Record]],
    total: int,
    environment: dict[str, str],
) -> None:
    """Run a trainer to step ``total``, from its last checkpoint if there is one, and log its steps while it runs.

    ``history``: collects verl's metrics; ``convert``: turns them into records. On a stop request, the trainer saves after the
    current step. Raises UserError then, unless that step was the last, and if the trainer fails.
    """
    run.records = convert(history.steps())
    log, written, error, stop = folder / "verl.log", folder / "verl.jsonl", folder / ERROR, folder / STOP
    for old in (written, error, stop):
        old.unlink(missing_ok=True)
    remove_incomplete(folder)

    def save(reason: str) -> None:
        print(f"stop requested {reason}: verl saves after the current step and exits", file=sys.stderr)
        request_stop(stop, reason)

    print(f"verl's own output: {log}", file=sys.stderr)
    with run.logging(total):
        follower = Follower(written, history, convert, run)
        follower.start()
        try:
            code = subprocesses.run(command, log, environment | {"VERL_FILE_LOGGER_PATH": str(written)}, save)
        finally:
            follower.stop()
    if error.exists():
        raise UserError(error.read_text())
    if code or last_step(folder) < total:
        failure = subprocesses.failure(log, code, "verl")
        if not stop_reason(stop):
            raise failure
        if code != -signal.SIGTERM:  # it could not save
            print(failure, file=sys.stderr)
        raise stop_error(stop_reason(stop), last_step(folder), total)


def merged(checkpoint: Path, model: Path, folder: Path):
    """Merge the FSDP shards of a checkpoint with verl's own merger. Return the model, in the dtype of ``model``."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    command += ["--local_dir", str(checkpoint), "--target_dir", str(folder)]
    log = folder.with_suffix(".log")
    # The checkpoint's configuration names the attention that it was trained with, which transformers may not know by itself.
    modules = ",".join(filter(None, [os.getenv("VERL_USE_EXTERNAL_MODULES"), ATTENTION]))
    code = subprocesses.run(command, log, {"CUDA_VISIBLE_DEVICES": "", "VERL_USE_EXTERNAL_MODULES": modules})
    if code == -signal.SIGTERM:
        raise UserError("stopped after the last step, while its checkpoint was merged; run the same command to resume")
    if code:
        raise subprocesses.failure(log, code, "verl's merger")
    return weights.load(folder, weights.stored_dtype(model))
