"""The numbers of a stage's work, and what all of them share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from fofg import config
from fofg.config import Config
from fofg.plan.rules import Stage


class Amount(NamedTuple):
    """``least`` and ``most`` are bounds, ``expected`` follows from the section ``plan``."""

    least: int
    expected: int
    most: int

    @classmethod
    def exactly(cls, count: int) -> "Amount":
        return cls(count, count, count)

    def times(self, factor: int) -> "Amount":
        return Amount(*(factor * one for one in self))


@dataclass(frozen=True, kw_only=True)
class Problems:
    """Problems of one split of a dataset, made in ``jobs`` files."""

    stage: str
    rule: str
    jobs: int
    problems: int


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """Responses that a stage samples.

    ``jobs``: 0 where a training job samples them. ``devices``: that a job holds, a part of one if jobs share it. ``rounds``: parts
    that wait for one another. ``prompt_tokens``, ``response_tokens``: at most. ``copies``: of a response on disk.
    """

    stage: str
    rule: str
    jobs: int
    devices: float
    rounds: int = 1
    prompts: Amount
    responses: Amount
    prompt_tokens: int
    response_tokens: int
    expected_tokens: int
    copies: int = 0


@dataclass(frozen=True, kw_only=True)
class Training:
    """Training of ``jobs`` models, one after another.

    ``examples``: a response with what comes before it, once however often it is read. ``tokens``: read in all steps, at most.
    ``checkpoints``: whether models of the base model's size are written.
    """

    stage: str
    rule: str
    jobs: int
    devices: int
    steps: Amount
    examples: Amount
    tokens: int
    expected_tokens: int
    checkpoints: bool = True


def rollout_devices(settings: Config) -> float:
    """GPUs that a rollout job holds; 1, the machine or the one GPU that it finds, where it asks for none."""
    engine = settings.rollout_engine
    return engine.gpus / engine.jobs_per_gpu if engine.gpus else 1.0


def training_devices(settings: Config) -> int:
    """GPUs that a training job holds on all its nodes; 1 where it asks for none."""
    return max(1, settings.training.workers())


def by_rule(covered: Iterable[Stage]) -> dict[str, list[Stage]]:
    """Rule -> its stages, in their order."""
    found: dict[str, list[Stage]] = {}
    for stage in covered:
        found.setdefault(stage.rule, []).append(stage)
    return found


def turn_tokens(settings: Config, limits: config.Rollouts) -> float:
    """Expected tokens of a prompt and its response."""
    plan = settings.plan
    return min(plan.mean_prompt_tokens, limits.max_prompt_tokens) + min(plan.mean_response_tokens, limits.max_response_tokens)
