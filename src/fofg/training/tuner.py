"""TRL's trainer with optimizer steps planned beforehand and computed in parts, side by side on a CPU."""

from collections.abc import Callable
from pathlib import Path

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer
from trl import SFTTrainer

from fofg.training import batches, metrics, resume
from fofg.training.networks import Team


class Tuner(SFTTrainer):
    """A step's rows are cut into parts of at most ``micro_batch_size`` rows of like length, which the ``team`` computes.

    ``plan``: row numbers of every step; ``records``: gives the records to keep in a checkpoint.
    """

    def __init__(
        self,
        plan: list[list[int]],
        micro_batch_size: int,
        team: Team,
        records: Callable[[], list[metrics.Record]],
        **others,
    ):
        self.plan, self.micro_batch_size, self.team, self.records = plan, micro_batch_size, team, records
        super().__init__(**others)
        self.remove_callback(PrinterCallback)

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

    def _save_checkpoint(self, model, trial) -> None:
        Trainer._save_checkpoint(self, model, trial)  # TRL's own adds a model card, which is of no use to a resume
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        metrics.write(folder / "metrics.jsonl", self.records())
        resume.seal(folder)
