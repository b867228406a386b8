"""Groups of responses to one problem: which of them teach, and what advantage each response has (GRPO, DAPO)."""

from collections.abc import Iterable, Sequence
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import torch

#: Keeps the advantages of a group of nearly equal rewards finite, as in TRL.
EPSILON = 1e-4
#: What is wrong with an incomplete step that ends the run, and the cures; {}: groups of a full step.
TOO_FEW = (
    "fewer than stage2.rl's prompts_per_step ({}); raise its max_generation_batches or generation_prompts, or set its "
    "on_incomplete_step: train"
)


class HasRewards(Protocol):
    """``rewards``: of each response of a group."""

    rewards: Sequence[float]


AnyGroup = TypeVar("AnyGroup", bound=HasRewards)


class Filled(NamedTuple, Generic[AnyGroup]):
    """A step's groups: those it trains on, all that were drawn, how many batches they came in.

    ``limit_reached``: the batches ran out before the step was full.
    """

    kept: list[AnyGroup]
    drawn: list[AnyGroup]
    batches: int
    limit_reached: bool


def differ(rewards: Sequence[float]) -> bool:
    """Whether a group's rewards are not all equal; if they are, every advantage is 0."""
    return any(reward != rewards[0] for reward in rewards)


def fill(batches: Iterable[list[AnyGroup]], wanted: int, most: int) -> Filled[AnyGroup]:
    """Dynamic sampling (DAPO): takes up to ``most`` batches until ``wanted`` groups have rewards that differ.

    The first ``wanted`` of them are kept, in order. No batch is asked for that isn't needed.
    """
    kept, drawn, taken = [], [], 0
    batches = iter(batches)
    while len(kept) < wanted and taken < most:
        batch = next(batches)
        taken += 1
        drawn += batch
        kept += [group for group in batch if differ(group.rewards)]
    return Filled(kept[:wanted], drawn, taken, len(kept) < wanted)


def advantages(rewards: torch.Tensor, scale: Literal["group", "none"]) -> torch.Tensor:
    """Advantages, float32 [groups, samples], for rewards of that shape.

    ``none``: A = r - mean of the group. ``group``: A = (r - mean) / (std + 1e-4), std being the unbiased standard deviation of the
    group (Shao et al. 2024, as TRL computes it).
    """
    rewards = rewards.to(torch.float32)
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred if scale == "none" else centred / (rewards.std(dim=1, keepdim=True) + EPSILON)
