"""Log training runs to TensorBoard or Weights & Biases (``training.trackers``): a point per step and metric, also after a kill."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from fofg.data.files import write_json
from fofg.errors import UserError
from fofg.training.metrics import Record

PROJECT = "fofg"
Log = Callable[[Record], None]


@contextmanager
def tracking(names: Sequence[str], output: Path, state: Path, spec: dict, done: float | None) -> Iterator[Log]:
    """Open trackers for a run, and yield a function that logs the record of a step to all of them.

    Their files lie under ``output``, the model's folder; what a resumed run needs to know of them under ``state``. ``done``: the
    step that the run resumes after, None at its start. Raises UserError if a tracker can't be opened.
    """
    if done is None:
        shutil.rmtree(output / "tensorboard", ignore_errors=True)
    with ExitStack() as stack:
        logs = [stack.enter_context(_TRACKERS[name](output, state, spec, done)) for name in names]

        def log(record: Record) -> None:
            for log_record in logs:
                log_record(record)

        yield log


def _metrics(record: Record) -> Record:
    return {f"train/{name}": value for name, value in record.items() if name not in ("step", "seconds")}


@contextmanager
def _tensorboard(output: Path, state: Path, spec: dict, done: float | None) -> Iterator[Log]:
    """Write event files. TensorBoard hides the points after a checkpoint that a resumed run writes again."""
    from torch.utils.tensorboard import SummaryWriter

    with closing(SummaryWriter(str(output / "tensorboard"), purge_step=None if done is None else int(done) + 1)) as events:

        def log(record: Record) -> None:
            for name, value in _metrics(record).items():
                events.add_scalar(name, value, int(record["step"]))

        yield log


@contextmanager
def _wandb(output: Path, state: Path, spec: dict, done: float | None) -> Iterator[Log]:
    """Log to Weights & Biases, or to files for ``wandb sync`` with WANDB_MODE=offline.

    It can't take points back. So a run notes its last logged step, and one that is resumed leaves out the steps up to there.
    """
    try:
        import wandb
    except ImportError:
        raise UserError("training.trackers: wandb is not installed; pip install wandb, or leave it out") from None
    file, name, last = state / "wandb.json", uuid.uuid4().hex, -1
    with suppress(OSError, ValueError):
        name, last = json.loads(file.read_text(encoding="utf-8"))
    for folder in (output, state):
        folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(console="off", silent=True)
    try:
        run = wandb.init(project=PROJECT, name=output.name, id=name, resume="allow", dir=str(output), config=spec, settings=quiet)
    except wandb.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"training.trackers: wandb: {reason}; run `wandb login`, or set WANDB_MODE=offline") from None
    with run:

        def log(record: Record) -> None:
            nonlocal last
            if record["step"] > last:
                last = int(record["step"])
                write_json(file, [name, last])
                run.log(_metrics(record), step=last)

        yield log


_TRACKERS = {"tensorboard": _tensorboard, "wandb": _wandb}
