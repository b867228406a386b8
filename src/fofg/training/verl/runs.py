"""A run of one of verl's trainers: started, followed, and its last checkpoint made a model's folder."""

import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import AutoModelForCausalLM

from fofg import models
from fofg.errors import UserError
from fofg.runtime import subprocesses
from fofg.runtime.signals import request_stop, stop_reason
from fofg.training.metrics import Record
from fofg.training.run import Run
from fofg.training.verl.checkpoints import last_step, stop_message
from fofg.training.verl.names import DRAWN, LINES, STOP, TOLD
from fofg.training.verl.records import Follower, Lines


def work_folder(folder: Path, workers: int) -> Path:
    """Run folder for this world size; FSDP shards cannot be resumed on another. Warns about checkpoints of other sizes."""
    key, folder = folder.name, folder.with_name(f"{folder.name}-{workers}").absolute()
    for other in folder.parent.glob(f"{key}-*"):
        if other.name != folder.name and (step := last_step(other)):
            number = other.name.rpartition("-")[2]
            message = f"not resuming from step {step}, which was made on {number} GPUs, not {workers}"
            print(f"{message}; to resume from there, set training.gpus and nodes back", file=sys.stderr)
    return folder


def stopped(reason: str, step: int, total: int) -> UserError:
    """Return the error of a run that was stopped after ``step``, that of its last checkpoint."""
    return UserError(stop_message(reason, step, total))


def lines(folder: Path) -> Lines:
    """What the steps up to a run's last checkpoint said."""
    return Lines(folder / LINES, last_step(folder), folder / DRAWN)


def follow(
    run: Run,
    command: Sequence[str],
    folder: Path,
    said: Lines,
    convert: Callable[[list[dict]], list[Record]],
    total: int,
    environment: dict[str, str],
) -> None:
    """Runs a trainer in its folder, from its last checkpoint if there is one, to step ``total``.

    ``said``: gets what it says; ``convert``: makes records of that. Asked to stop, the trainer saves after the step that it is in.
    Raises UserError then, if that was not its last, and if it failed.
    """
    run.records = convert(said.steps())
    log, written, told, stop = folder / "verl.log", folder / "verl.jsonl", folder / TOLD, folder / STOP
    for old in (written, told, stop):
        old.unlink(missing_ok=True)

    def save(reason: str) -> None:
        print(f"asked to stop {reason}: verl ends when it has saved the step that it is in", file=sys.stderr)
        request_stop(stop, reason)

    print(f"verl's own output: {log}", file=sys.stderr)
    with run.logging(total):
        follower = Follower(written, said, convert, run)
        follower.start()
        try:
            code = subprocesses.run(command, log, environment | {"VERL_FILE_LOGGER_PATH": str(written)}, save)
        finally:
            follower.stop()
    if told.exists():
        raise UserError(told.read_text())
    if code or last_step(folder) < total:
        failure = subprocesses.failure(log, code, "verl")
        if not stop_reason(stop):
            raise failure
        if code != -signal.SIGTERM:  # it could not save
            print(failure, file=sys.stderr)
        raise stopped(stop_reason(stop), last_step(folder), total)


def merged(checkpoint: Path, model: Path, folder: Path):
    """The network of a checkpoint of verl's (FSDP shards), by verl's own merger; ``model``: that the training began with."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    log = folder.with_suffix(".log")
    code = subprocesses.run(
        [*command, "--local_dir", str(checkpoint), "--target_dir", str(folder)], log, {"CUDA_VISIBLE_DEVICES": ""}
    )
    if code == -signal.SIGTERM:
        raise UserError("stopped after the last step, while its checkpoint was merged; run the same command to resume")
    if code:
        raise subprocesses.failure(log, code, "verl's merger")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=models.stored_dtype(model))
