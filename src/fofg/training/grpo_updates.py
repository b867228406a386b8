"""TRL's trainer for GRPO, with steps drawn and updates computed in parts, and what it records (paper §4.1)."""

import copy
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import fmean
from typing import NamedTuple

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from tqdm import tqdm
from trl import GRPOTrainer

from fofg.config import Grpo
from fofg.errors import UserError
from fofg.scoring.rewards import compute_score
from fofg.training import batches
from fofg.training.groups import advantages
from fofg.training.grpo_rollouts import Group, Step
from fofg.training.metrics import Record
from fofg.training.monitor import Monitor, Watched
from fofg.training.networks import Team, positions

#: Parts are padded to multiples of so many tokens: a CPU's kernels are made, and kept in memory, for every new width.
WIDTHS = 16


class Part(NamedTuple):
    """Rows of an update that are computed at once: as TRL's loss takes them, their response tokens, TRL's own numbers of them."""

    inputs: batches.Tensors
    tokens: int
    numbers: dict[str, float]


class Learner(Watched, GRPOTrainer):
    """TRL's loss of the type ``dapo``: clipped, the mean over all response tokens of an update, no KL term, no entropy bonus.

    A step takes its groups from ``draw`` and makes an update for each ``mini_batch_prompts`` of them; one without groups leaves
    weights and optimizer as they are. An update's rows are cut into parts of at most ``micro_batch_size`` rows of like length,
    which the ``team`` computes.
    """

    def __init__(self, settings: Grpo, draw: Callable[[int], Step], micro_batch_size: int, team: Team, **others):
        self.settings, self.draw, self.micro_batch_size, self.team = settings, draw, micro_batch_size, team
        super().__init__(reward_funcs=compute_score, **others)  # TRL insists on one; the rewards come with the groups

    def get_train_dataloader(self) -> DataLoader:
        return self.accelerator.prepare(DataLoader(self.train_dataset, batch_size=1, collate_fn=lambda rows: rows[0]))

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """Makes a step's updates but for the last, whose gradients it leaves to the caller. Returns the mean of their losses."""
        step = self.draw(inputs["step"])
        self.monitor.begin(step.record)
        model.train()
        updates = self._updates(step.groups)
        losses = []
        for number, parts in enumerate(updates):
            if number:
                self._clip_grad_norm(model)
                self.optimizer.step()
                model.zero_grad()
            step.record["learning_rate"] = self._set_learning_rate(number)
            losses.append(self._checked(sum(self.team.add_gradients(model, self._loss, parts))))
        if not losses:
            return torch.zeros((), device=self.args.device)
        loss, parts = torch.stack(losses).mean(), [part for parts in updates for part in parts]
        clipped, entropy = _mean("clip_ratio/region_mean", parts), _mean("entropy", parts)
        step.record.update(loss=float(loss), clip_fraction=clipped, entropy=entropy)
        return loss

    def _updates(self, groups: list[Group]) -> list[list[Part]]:
        """The parts of each update. With several, they hold the log-probabilities of the model as it is before the first."""
        size = self.settings.mini_batch_prompts
        updates = [self._parts(groups[start : start + size]) for start in range(0, len(groups), size)]
        if len(updates) > 1:
            parts = [part for parts in updates for part in parts]
            for part, found in zip(parts, self.team.each(self._log_probabilities, parts)):
                part.inputs["old_per_token_logps"] = found
        return updates

    def _parts(self, groups: list[Group]) -> list[Part]:
        rows = self._prepare_input(as_rows(groups, self.settings.scale_rewards, positions(self.model)))
        tokens = rows["written"].sum()
        return [
            Part(_for_trl(part) | {"num_items_in_batch": tokens}, int(part["written"].sum()), {})
            for part in batches.by_length(rows, self.micro_batch_size, WIDTHS)
        ]

    def _loss(self, part: Part) -> torch.Tensor:
        """A part's share of its update's loss, which is the sum of the shares."""
        trl = copy.copy(self)  # TRL appends numbers to lists; parts are computed side by side, so each gets lists of its own
        trl._metrics = {"train": defaultdict(list)}
        loss = trl._compute_loss(self.model_wrapped, part.inputs)
        part.numbers.update((name, values[0]) for name, values in trl._metrics["train"].items())
        return loss

    @torch.no_grad()
    def _log_probabilities(self, part: Part) -> torch.Tensor:
        """Log-probability of every token but the first, [rows, tokens - 1], at the roll-outs' temperature."""
        ids = torch.cat([part.inputs["prompt_ids"], part.inputs["completion_ids"]], dim=1)
        mask = torch.cat([part.inputs["prompt_mask"], part.inputs["completion_mask"]], dim=1)
        return self._get_per_token_logps_and_entropies(self.model_wrapped, ids, mask, ids.shape[1] - 1)[0]

    def _set_learning_rate(self, number: int) -> float:
        """Sets and returns the rate of a step's update (from 0): linear through the warm-up's updates, then constant."""
        before = sum(-(-record.get("groups_kept", 0) // self.settings.mini_batch_prompts) for record in self.monitor.records)
        rate = self.settings.learning_rate * min(1.0, (before + number + 1) / (self.settings.warmup_steps + 1))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _clip_grad_norm(self, model) -> torch.Tensor:
        norm = self._checked(super()._clip_grad_norm(model))
        self.monitor.norms.append(float(norm))
        return norm

    def _checked(self, value: torch.Tensor) -> torch.Tensor:
        if not math.isfinite(value):
            raise UserError(f"stage2.rl.learning_rate: the loss is not finite at step {self.state.global_step + 1}; lower it")
        return value


def as_rows(groups: list[Group], scale: str, limit: int | None = None) -> batches.Tensors:
    """All responses of groups, each after its prompt: input_ids, attention_mask, written (1: a response's token), advantages.

    Advantages are [rows, 1], the others [rows, tokens], padded on the right to a multiple of WIDTHS but not beyond ``limit``.
    """
    pairs = [(torch.tensor(group.problem.prompt), response.tokens.cpu()) for group in groups for response in group.responses]
    longest = max(len(prompt) + len(response) for prompt, response in pairs)
    width = max(longest, min(-(-longest // WIDTHS) * WIDTHS, limit or math.inf))
    rows = {
        "input_ids": [torch.cat([prompt, response]) for prompt, response in pairs],
        "attention_mask": [torch.ones(len(prompt) + len(response), dtype=torch.int64) for prompt, response in pairs],
        "written": [torch.cat([torch.zeros_like(prompt), torch.ones_like(response)]) for prompt, response in pairs],
    }
    padded = {name: pad(pad_sequence(tensors, batch_first=True), (0, width - longest)) for name, tensors in rows.items()}
    return padded | {"advantages": advantages(torch.tensor([group.rewards for group in groups]), scale).reshape(-1, 1)}


def _for_trl(rows: batches.Tensors) -> batches.Tensors:
    """Rows as TRL's loss takes them. All but the first token stand in for the completion, so that no prompt is padded on the left;
    the mask that TRL has for tokens of tools' answers takes the prompt's tokens out of the loss."""
    ids, mask = rows["input_ids"], rows["attention_mask"]
    return {
        "prompt_ids": ids[:, :1],
        "prompt_mask": mask[:, :1],
        "completion_ids": ids[:, 1:],
        "completion_mask": mask[:, 1:],
        "tool_mask": rows["written"][:, 1:],
        "advantages": rows["advantages"],
    }


def _mean(name: str, parts: list[Part]) -> float:
    """Mean over response tokens of a number that TRL gives as the mean over those of a part."""
    return sum(part.numbers[name] * part.tokens for part in parts) / sum(part.tokens for part in parts)


class LearnerMonitor(Monitor):
    """Records of every step: what sampler and learner tell of it, gradient norm, times, perhaps accuracy on held-out problems.

    ``validate``: asked for before the first step, every ``every`` steps and after the last; never if ``every`` is 0.
    ``skip_empty_steps``: see fofg.training.grpo_trl.train. ``norms``: of the step's gradients, an update each.
    """

    def __init__(self, total: int, skip_empty_steps: bool, every: int, validate: Callable[[], Record]):
        super().__init__(total)
        self.skip_empty_steps, self.every, self.validate = skip_empty_steps, every, validate
        self.norms: list[float] = []

    def on_train_begin(self, args, state, control, **others):
        super().on_train_begin(args, state, control)
        if not self.records and self.every:
            self.keep({"step": 0, **self.validate(), "seconds": self.seconds()})

    def begin(self, record: Record) -> None:
        """A step's groups are drawn, and training begins. Raises UserError if there are none and that is to stop the run."""
        self._step, self._drawn_at, self.norms = record, time.monotonic(), []
        told = f"step {record['step']}: rewards differ in {record['groups_kept']} of {record['groups']} groups"
        if not record["groups_kept"] and not self.skip_empty_steps:
            raise UserError(
                f"{told} (mean reward {record['reward']:.2f}), so there is nothing to train on; raise stage2.rl's "
                "max_generation_batches or generation_prompts, take problems that are sometimes solved, or set its empty_step: skip"
            )
        if record["limit_reached"]:
            tqdm.write(f"{told}; {'it trains on those' if record['groups_kept'] else 'no update'}", file=sys.stderr)

    def on_step_end(self, args, state, control, **others):
        record = self._step
        if record["groups_kept"]:
            record["grad_norm"] = fmean(self.norms)
        record["seconds_training"] = round(time.monotonic() - self._drawn_at, 3)
        if self.every and (record["step"] % self.every == 0 or record["step"] == self.total):
            record |= self.validate()
        record["seconds"] = self.seconds()
        kept = f"{record['groups_kept']}/{record['groups']}"
        self.keep(record, reward=f"{record['reward']:.2f}", accuracy=f"{record['accuracy']:.2f}", groups=kept)
        return super().on_step_end(args, state, control)
