"""Watching a training run: its records, progress bar and TensorBoard events, and a tidy end on SIGTERM."""

import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm
from transformers import TrainerCallback

from fofg.errors import UserError
from fofg.training.metrics import Record


class Monitor(TrainerCallback):
    """Keeps a record of every optimizer step: step, epoch, loss, learning_rate, grad_norm, tokens, seconds, perhaps test_loss.

    ``tokens`` [steps]: tokens read up to and with each step. ``test_loss``: mean loss on the test examples, None if there are
    none; asked for before the first step, every ``test_every`` steps and after the last. ``records``: set them to go on from a
    checkpoint.
    """

    def __init__(self, tokens: list[int], steps_per_epoch: int, test_every: int, test_loss: Callable[[], float] | None):
        self.tokens, self.steps_per_epoch = tokens, steps_per_epoch
        self.test_every, self.test_loss = test_every, test_loss
        self.records: list[Record] = []
        self.stopped = False

    @property
    def total(self) -> int:
        return len(self.tokens)

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

    @contextmanager
    def stopping_on_sigterm(self) -> Iterator[None]:
        """Within: SIGTERM ends the run after the step that it is in, with a checkpoint."""

        def stop(number, frame):
            self.stopped = True

        before = signal.signal(signal.SIGTERM, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_train_begin(self, args, state, control, **others):
        self._began = time.monotonic() - (self.records[-1]["seconds"] if self.records else 0.0)
        if not self.records and self.test_loss:
            self._keep({"step": 0, "epoch": 0.0, "tokens": 0, "seconds": 0.0, "test_loss": self.test_loss()})

    def on_step_end(self, args, state, control, **others):
        if self.stopped and state.global_step < self.total:
            control.should_save = control.should_training_stop = True
        return control

    def on_log(self, args, state, control, logs=None, **others):
        if "loss" not in logs:
            return
        step = state.global_step
        if not math.isfinite(logs["loss"]) or not math.isfinite(logs["grad_norm"]):
            raise UserError(f"sft.learning_rate: the loss is not finite at step {step}; lower it")
        record = {"step": step, "epoch": step / self.steps_per_epoch}
        record |= {name: float(logs[name]) for name in ("loss", "learning_rate", "grad_norm")}
        record |= {"tokens": self.tokens[step - 1], "seconds": round(time.monotonic() - self._began, 3)}
        if self.test_loss and (step % self.test_every == 0 or step == self.total):
            record["test_loss"] = self.test_loss()
        self._keep(record)
        self._bar.update(1)
        self._bar.set_postfix(loss=f"{record['loss']:.3f}", refresh=False)

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        for name, value in record.items():
            if name not in ("step", "seconds"):
                self._events.add_scalar(f"train/{name}", value, record["step"])
