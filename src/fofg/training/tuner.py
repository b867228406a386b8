"""TRL's trainer for fine-tuning, with optimizer steps planned beforehand and computed in parts, and what it records."""

import math
from collections.abc import Callable

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from trl import SFTTrainer

from fofg.errors import UserError
from fofg.training import batches
from fofg.training.monitor import Monitor, Watched
from fofg.training.networks import Team


class Tuner(Watched, SFTTrainer):
    """A step's rows are cut into parts of at most ``micro_batch_size`` rows of like length, which the ``team`` computes.

    ``plan``: row numbers of every step.
    """

    def __init__(self, plan: list[list[int]], micro_batch_size: int, team: Team, **others):
        self.plan, self.micro_batch_size, self.team = plan, micro_batch_size, team
        super().__init__(**others)

    def get_train_dataloader(self) -> DataLoader:
        return self.accelerator.prepare(DataLoader(self.train_dataset, batch_sampler=self.plan, collate_fn=self.data_collator))

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """Gradients of one optimizer step, and its loss: the mean over its ``num_items_in_batch`` learned tokens."""
        model.train()

        def loss(part: batches.Tensors) -> torch.Tensor:
            return self.compute_loss(model, part, num_items_in_batch=num_items_in_batch)

        total = torch.zeros((), device=self.args.device)
        for value in self.team.add_gradients(model, loss, batches.by_length(self._prepare_inputs(inputs), self.micro_batch_size)):
            total += value
        return total

    def mean_loss(self, rows: Dataset) -> float:
        """Mean loss over the learned tokens of a data set, without training."""

        def loss(start: int) -> tuple[float, int]:
            batch = self.data_collator([rows[place] for place in range(start, min(start + self.micro_batch_size, len(rows)))])
            learned = int((batch["labels"][:, 1:] >= 0).sum())
            return float(self.prediction_step(self.model, batch, prediction_loss_only=True)[0]) * learned, learned

        self.model.eval()
        losses = list(self.team.each(loss, range(0, len(rows), self.micro_batch_size)))
        self.model.train()
        return sum(total for total, _ in losses) / sum(learned for _, learned in losses)


class TunerMonitor(Monitor):
    """Records of every optimizer step: step, epoch, loss, learning_rate, grad_norm, tokens, seconds, perhaps test_loss.

    ``tokens`` [steps]: tokens read up to and with each step. ``test_loss``: mean loss on the test examples, None if there are
    none; asked for before the first step, every ``test_every`` steps and after the last.
    """

    def __init__(self, tokens: list[int], steps_per_epoch: int, test_every: int, test_loss: Callable[[], float] | None):
        super().__init__(total=len(tokens))
        self.tokens, self.steps_per_epoch = tokens, steps_per_epoch
        self.test_every, self.test_loss = test_every, test_loss

    def on_train_begin(self, args, state, control, **others):
        super().on_train_begin(args, state, control)
        if not self.records and self.test_loss:
            self.keep({"step": 0, "epoch": 0.0, "tokens": 0, "seconds": 0.0, "test_loss": self.test_loss()})

    def on_log(self, args, state, control, logs=None, **others):
        if "loss" not in logs:
            return
        step = state.global_step
        if not math.isfinite(logs["loss"]) or not math.isfinite(logs["grad_norm"]):
            raise UserError(f"sft.learning_rate: the loss is not finite at step {step}; lower it")
        record = {"step": step, "epoch": step / self.steps_per_epoch}
        record |= {name: float(logs[name]) for name in ("loss", "learning_rate", "grad_norm")}
        record |= {"tokens": self.tokens[step - 1], "seconds": self.seconds()}
        if self.test_loss and (step % self.test_every == 0 or step == self.total):
            record["test_loss"] = self.test_loss()
        self.keep(record, loss=f"{record['loss']:.3f}")
