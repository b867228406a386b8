"""Watching a training run: its records, progress bar and TensorBoard events, a tidy end when asked for, and going on after it."""

import shutil
import sys
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback

from fofg.errors import UserError
from fofg.runtime.signals import Stop, stoppable
from fofg.training import metrics, resume
from fofg.training.metrics import Record


class Monitor(TrainerCallback):
    """Keeps a record of every step; what is in it is up to the kind of training.

    ``total``: steps of the run. ``records``: set them to go on from a checkpoint.
    """

    def __init__(self, total: int):
        self.total = total
        self.records: list[Record] = []
        self.stop = Stop()

    def open(self, tensorboard: str | Path) -> None:
        """Starts the progress bar and the event file; events of other runs are removed, those after the checkpoint hidden."""
        step = self.records[-1]["step"] if self.records else None
        if step is None:
            shutil.rmtree(tensorboard, ignore_errors=True)
        self._events = SummaryWriter(str(tensorboard), purge_step=None if step is None else step + 1)
        self._bar = tqdm(total=self.total, initial=step or 0, desc="train", unit="step")

    def close(self) -> None:
        self._events.close()
        self._bar.close()

    def on_train_begin(self, args, state, control, **others):
        self._began = time.monotonic() - (self.records[-1]["seconds"] if self.records else 0.0)

    def on_step_end(self, args, state, control, **others):
        if self.stop.is_set() and state.global_step < self.total:
            control.should_save = control.should_training_stop = True
        return control

    def seconds(self) -> float:
        """Since the start of the run, without the time between a kill and its resumption."""
        return round(time.monotonic() - self._began, 3)

    def keep(self, record: Record, **shown: str) -> None:
        """Adds a record; of a step, not of what comes before the first, the bar shows ``shown``."""
        self.records.append(record)
        for name, value in record.items():
            if name not in ("step", "seconds"):
                self._events.add_scalar(f"train/{name}", value, record["step"])
        if record["step"]:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(1)


class Watched:
    """To be mixed into a trainer: its checkpoints hold the records of its ``monitor``, and are sealed once they are complete."""

    def __init__(self, monitor: Monitor, **others):
        self.monitor = monitor
        super().__init__(callbacks=[monitor], **others)
        self.remove_callback(PrinterCallback)

    def _save_checkpoint(self, model, trial) -> None:
        Trainer._save_checkpoint(self, model, trial)  # TRL's own adds a model card, which is of no use to a resume
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        metrics.write(folder / "metrics.jsonl", self.monitor.records)
        resume.seal(folder)


def run(trainer: Watched, state: Path, tensorboard: str | Path) -> None:
    """Trains to the end, from the last complete checkpoint in ``state`` if there is one.

    Asked to stop, it saves a checkpoint after the step that it is in, and raises UserError.
    """
    monitor, start = trainer.monitor, resume.newest(state)
    if start:
        monitor.records = metrics.read(start / "metrics.jsonl")
        print(f"going on after step {monitor.records[-1]['step']} of {monitor.total}", file=sys.stderr)
    monitor.open(tensorboard)
    try:
        with stoppable() as monitor.stop:
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    finally:
        monitor.close()
    if (step := trainer.state.global_step) < monitor.total:
        raise UserError(f"stopped {monitor.stop.reason} after step {step} of {monitor.total}; run the same command to resume")
