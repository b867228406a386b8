"""TRL's trainer for fine-tuning, with optimizer steps planned beforehand and computed in parts, and what it records."""

import math
from collections.abc import Callable

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from trl import SFTTrainer

from fofg.errors import UserError
from fofg.training import batches
from fofg.training.conversations import IGNORED
from fofg.training.losses import aggregate
from fofg.training.monitor import Monitor, Watched
from fofg.training.networks import Team


class Tuner(Watched, SFTTrainer):
    """A step's rows are cut into parts of at most ``micro_batch_size`` rows of like length, which the ``team`` computes.

    ``plan``: row numbers of every step. ``loss_agg_mode``: see fofg.training.losses.aggregate.
    """

    def __init__(self, plan: list[list[int]], micro_batch_size: int, team: Team, loss_agg_mode: str, **others):
        self.plan, self.micro_batch_size, self.team, self.loss_agg_mode = plan, micro_batch_size, team, loss_agg_mode
        super().__init__(**others)

    def get_train_dataloader(self) -> DataLoader:
        return self.accelerator.prepare(DataLoader(self.train_dataset, batch_sampler=self.plan, collate_fn=self.data_collator))

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """Add the gradients of one optimizer step and return its loss."""
        model.train()
        inputs = self._prepare_inputs(inputs)
        tokens, rows = _learned(inputs), len(inputs["labels"])

        def loss(part: batches.Tensors) -> torch.Tensor:
            return self._loss(model, part, tokens, rows)

        total = torch.zeros((), device=self.args.device)
        for value in self.team.add_gradients(model, loss, batches.by_length(inputs, self.micro_batch_size)):
            total += value
        return total

    def _loss(self, model, part: batches.Tensors, tokens: int, rows: int) -> torch.Tensor:
        """Return a part's share of the loss of ``rows`` examples with ``tokens`` learned tokens; the shares add up to it."""
        outputs = model(**part, fused_lm_head=True)
        return aggregate(-outputs.log_probs, outputs.label_mask, self.loss_agg_mode, tokens, rows)

    def mean_loss(self, rows: Dataset) -> float:
        """Return the loss of a dataset, averaged as in training."""
        size = self.micro_batch_size
        parts = [
            self.data_collator([rows[row] for row in range(first, min(first + size, len(rows)))])
            for first in range(0, len(rows), size)
        ]
        tokens = sum(map(_learned, parts))

        @torch.no_grad()  # per thread, so not around the team
        def loss(part: batches.Tensors) -> float:
            return float(self._loss(self.model, self._prepare_inputs(part), tokens, len(rows)))

        self.model.eval()
        total = sum(self.team.each(loss, parts))
        self.model.train()
        return total


def _learned(batch: batches.Tensors) -> int:
    """Return the number of learned tokens; a row's first token has none before it that could predict it."""
    return int((batch["labels"][:, 1:] != IGNORED).sum())


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
