"""TRL's trainer for GRPO, with steps drawn and updates computed in parts, and what it records (paper §4.1)."""

import math
import sys
import time
from collections.abc import Callable
from statistics import fmean
from typing import NamedTuple

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from tqdm import tqdm
from trl import GRPOTrainer
from trl.trainer import add_fused_lm_head

from fofg.config import Grpo
from fofg.errors import UserError
from fofg.tasks.rewards import compute_score
from fofg.training import batches
from fofg.training.groups import TOO_FEW, advantages
from fofg.training.grpo_rollouts import Group, Step
from fofg.training.losses import aggregate, kl_divergence, policy_loss
from fofg.training.metrics import Record
from fofg.training.monitor import Monitor, Watched
from fofg.training.networks import Team, positions

#: Pad micro-batches to a multiple of this: oneDNN compiles and caches a kernel per width.
WIDTHS = 16


class Part(NamedTuple):
    """A micro-batch of an update.

    ``rows``: see as_rows, and maybe ``old`` and ``reference``, log-probabilities [rows, tokens - 1] under the model before the
    step's first update and under the reference model. ``tokens``, ``size``: response tokens and rows of the whole update.
    ``means``: the micro-batch's shares of the update's numbers, filled in by the loss.
    """

    rows: batches.Tensors
    tokens: int
    size: int
    means: dict[str, float]


class Learner(Watched, GRPOTrainer):
    """GRPO on TRL's trainer: the clipped loss, plus ``kl_coef`` times KL, minus ``entropy_coef`` times entropy.

    All three are averaged by ``loss_agg_mode`` over the response tokens of an update. A step takes its groups from ``draw`` and
    makes an update for each ``mini_batch_prompts`` of them; one without groups leaves weights and optimizer as they are. An
    update's rows are cut into parts of at most ``micro_batch_size`` rows of like length, which the ``team`` computes.
    ``reference``: the model that KL is measured from; None without KL.
    """

    def __init__(self, settings: Grpo, draw: Callable[[int], Step], micro_batch_size: int, team: Team, reference=None, **others):
        self.settings, self.draw, self.micro_batch_size, self.team = settings, draw, micro_batch_size, team
        super().__init__(reward_funcs=compute_score, **others)  # TRL insists on one; the rewards come with the groups
        self.reference = reference
        if reference is not None:
            add_fused_lm_head(reference.requires_grad_(False).eval().to(self.args.device), temperature=self.temperature)

    def get_train_dataloader(self) -> DataLoader:
        return self.accelerator.prepare(DataLoader(self.train_dataset, batch_size=1, collate_fn=lambda rows: rows[0]))

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """Make a step's updates but for the last, whose gradients it leaves to the caller. Return the mean of their losses."""
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
        for name in updates[0][0].means:
            step.record[name] = fmean(sum(part.means[name] for part in parts) for parts in updates)
        return torch.stack(losses).mean()

    def _updates(self, groups: list[Group]) -> list[list[Part]]:
        """Return the parts of each update."""
        size = self.settings.mini_batch_prompts
        updates = [self._parts(groups[start : start + size]) for start in range(0, len(groups), size)]
        parts = [part for parts in updates for part in parts]
        if len(updates) > 1:
            self._add_log_probs("old", self.model_wrapped, parts)
        if self.reference is not None:
            self._add_log_probs("reference", self.reference, parts)
        return updates

    def _parts(self, groups: list[Group]) -> list[Part]:
        rows = self._prepare_input(as_rows(groups, self.settings.scale_rewards, positions(self.model)))
        tokens, size = int(rows["written"].sum()), len(rows["written"])
        return [Part(part, tokens, size, {}) for part in batches.by_length(rows, self.micro_batch_size, WIDTHS)]

    def _loss(self, part: Part) -> torch.Tensor:
        """Return a part's share of its update's loss, which is the sum of the shares."""
        settings, mask = self.settings, part.rows["written"][:, 1:]
        log_probs, entropy = self._log_probs(self.model_wrapped, part)
        old = part.rows.get("old", log_probs.detach())
        policy, clipped = policy_loss(log_probs, old, part.rows["advantages"], settings.clip_low, settings.clip_high)
        values = {"loss": policy, "clip_fraction": clipped.float(), "entropy": entropy}
        if self.reference is not None:
            values["kl"] = kl_divergence(log_probs, part.rows["reference"])
        means = {name: aggregate(value, mask, settings.loss_agg_mode, part.tokens, part.size) for name, value in values.items()}
        part.means.update((name, float(mean.detach())) for name, mean in means.items())
        loss = means["loss"]
        if settings.entropy_coef:
            loss = loss - settings.entropy_coef * means["entropy"]
        return loss + settings.kl_coef * means["kl"] if "kl" in means else loss

    def _add_log_probs(self, name: str, model, parts: list[Part]) -> None:
        @torch.no_grad()  # per thread, so not around the team
        def compute(part: Part) -> torch.Tensor:
            return self._log_probs(model, part)[0]

        for part, found in zip(parts, self.team.each(compute, parts)):
            part.rows[name] = found

    def _log_probs(self, model, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probability and entropy [rows, tokens - 1] of all tokens but the first, at the rollouts' temperature.

        The reference model gives no entropy.
        """
        ids, mask = part.rows["input_ids"], part.rows["attention_mask"]
        entropy = model is not self.reference
        return self._get_per_token_logps_and_entropies(model, ids, mask, ids.shape[1] - 1, compute_entropy=entropy)[:2]

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


class LearnerMonitor(Monitor):
    """Records of every step: what sampler and learner tell of it, gradient norm, times, perhaps accuracy on held-out problems.

    ``validate``: asked for before the first step, every ``every`` steps and after the last; never if ``every`` is 0. ``wanted``:
    groups of a full step. ``on_empty_step``, ``on_incomplete_step``: see fofg.training.grpo_trl.train. ``norms``: of the step's
    gradients, an update each.
    """

    def __init__(
        self,
        total: int,
        wanted: int,
        on_empty_step: str,
        on_incomplete_step: str,
        every: int,
        validate: Callable[[], Record],
    ):
        super().__init__(total)
        self.wanted, self.on_empty_step, self.on_incomplete_step = wanted, on_empty_step, on_incomplete_step
        self.every, self.validate = every, validate
        self.norms: list[float] = []

    def on_train_begin(self, args, state, control, **others):
        super().on_train_begin(args, state, control)
        if not self.records and self.every:
            self.keep({"step": 0, **self.validate(), "seconds": self.seconds()})

    def begin(self, record: Record) -> None:
        """A step's groups are drawn, and training begins. Raises UserError if they are too few and that is to stop the run."""
        self._step, self._drawn_at, self.norms = record, time.monotonic(), []
        told = f"step {record['step']}: rewards differ in {record['groups_kept']} of {record['groups']} groups"
        if not record["groups_kept"] and self.on_empty_step == "error":
            raise UserError(
                f"{told} (mean reward {record['reward']:.2f}), so there is nothing to train on; raise stage2.rl's "
                "max_generation_batches or generation_prompts, take problems that are sometimes solved, or set on_empty_step: skip"
            )
        if 0 < record["groups_kept"] < self.wanted and self.on_incomplete_step == "error":
            raise UserError(f"{told}, {TOO_FEW.format(self.wanted)}")
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
