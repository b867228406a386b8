"""GRPO groups: sample responses to each problem, drop groups with equal rewards (DAPO), compute group-relative advantages."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from statistics import fmean
from typing import Literal, NamedTuple, Protocol, TypeVar

import torch

from fofg.config import GRPOConfig, Phase, Scoring
from fofg.rollouts.decoding import Decoder, Response
from fofg.rollouts.engine import Request
from fofg.rollouts.sampling import sample_seed
from fofg.tasks.rewards import compute_scores
from fofg.training import curricula
from fofg.training.metrics import Record
from fofg.training.prompts import Prompt

#: Keeps the advantages of a group of nearly equal rewards finite, as in TRL.
EPSILON = 1e-4
#: Why an incomplete step ends a run, and what to do; {}: groups of a full step.
TOO_FEW = (
    "fewer than stage2.rl's prompts_per_step ({}); raise its max_generation_batches or generation_prompts, or set its "
    "on_incomplete_step: train"
)


class Group(NamedTuple):
    """The responses to one prompt, with their rewards and whether they are correct (1.0, 0.0)."""

    prompt: Prompt
    responses: list[Response]
    rewards: Sequence[float]
    correct: Sequence[float]


class HasRewards(Protocol):
    """A group of any engine: ``rewards`` has one entry per response."""

    @property
    def rewards(self) -> Sequence[float]: ...


AnyGroup = TypeVar("AnyGroup", bound=HasRewards)


def advantages(rewards: torch.Tensor, scale: Literal["group", "none"], negative_weight: float = 1.0) -> torch.Tensor:
    """Return the group-relative advantages of rewards [groups, samples], float32.

    ``none``: A = r - mean of the group. ``group``: A = (r - mean) / (std + 1e-4), std being the unbiased standard deviation of the
    group (Shao et al. 2024, as in TRL). Negative ones are multiplied by ``negative_weight``.
    """
    rewards = rewards.to(torch.float32)
    centered = rewards - rewards.mean(dim=1, keepdim=True)
    scaled = centered if scale == "none" else centered / (rewards.std(dim=1, keepdim=True) + EPSILON)
    return torch.where(scaled < 0, negative_weight * scaled, scaled)


def differ(rewards: Sequence[float]) -> bool:
    """Return whether a group's rewards differ. If all are equal, every advantage is 0 and there is nothing to learn."""
    return any(reward != rewards[0] for reward in rewards)


def fill(batches: Iterable[list[AnyGroup]], size: int, max_batches: int) -> tuple[list[AnyGroup], list[list[AnyGroup]]]:
    """Draw batches until ``size`` groups have rewards that differ (DAPO's dynamic sampling), ``max_batches`` at most.

    Return the first ``size`` of those groups, and all batches drawn.
    """
    accepted: list[AnyGroup] = []
    drawn: list[list[AnyGroup]] = []
    batches = iter(batches)
    while len(accepted) < size and len(drawn) < max_batches:
        drawn.append(next(batches))
        accepted += [group for group in drawn[-1] if differ(group.rewards)]
    return accepted[:size], drawn


class GroupSampler:
    """Draws the groups of each step of a curriculum from the current policy; equal weights give equal groups.

    ``sources``: prompts of each name in the phases' mixtures; ``decoder``: holds the policy; ``generating``: a context in which
    the policy may generate.
    """

    def __init__(
        self,
        config: GRPOConfig,
        phases: Sequence[Phase],
        scoring: Scoring,
        sources: dict[str, list[Prompt]],
        decoder: Decoder,
        generating: Callable[[], AbstractContextManager],
    ):
        self.config, self.phases, self.scoring, self.sources = config, phases, scoring, sources
        self.decoder, self.generating = decoder, generating
        self._phase = 0
        self._drawn: list[Group] = []
        self._stream: Iterator[curricula.Draw] = iter(())
        self._seconds = {"seconds_generation": 0.0, "seconds_scoring": 0.0}

    def draw(self, step: int, records: Sequence[Record]) -> tuple[list[Group], Record]:
        """Return the groups to train on in a step (from 1), and a record of all groups drawn for it.

        ``records``: one per earlier step; they tell how far the phase has come in its stream of problems.
        """
        config, phase = self.config, curricula.phase_of(step, [phase.steps for phase in self.phases])
        # The number of draws is all that has to survive a kill: the stream and the seeds follow from it.
        before = int(records[-1]["prompts_drawn"]) if records and records[-1].get("phase") == phase else 0
        if phase != self._phase:
            sizes = {name: len(prompts) for name, prompts in self.sources.items()}
            mixture = self.phases[phase - 1].mixture
            self._phase, self._stream = phase, curricula.draws(mixture, sizes, config.seed, phase, skip=before)
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        if config.filter_groups:
            groups, batches = fill(self._batches(config.generation_prompts), config.prompts_per_step, config.max_generation_batches)
        else:
            batches = [next(self._batches(config.prompts_per_step))]
            groups = batches[0]
        drawn = self._drawn = [group for batch in batches for group in batch]
        record = {
            "step": step,
            "phase": phase,
            **_means(drawn),
            "prompts": len(drawn),
            "groups": len(drawn),
            "groups_kept": len(groups),
            "generation_batches": len(batches),
            "limit_reached": len(groups) < config.prompts_per_step,
            "prompts_drawn": before + len(drawn),
            **{name: round(seconds, 3) for name, seconds in self._seconds.items()},
        }
        return groups, record

    def rollouts(self, problems: int) -> list[dict]:
        """Return the first problems that the last step drew, whatever their rewards, as rows (fofg.data.schemas.ROLLOUTS)."""
        return [
            {
                **group.prompt.row,
                "responses": [self.decoder.text(response.tokens) for response in group.responses],
                "finish_reasons": [response.finish_reason for response in group.responses],
                "token_counts": [len(response.tokens) for response in group.responses],
            }
            for group in self._drawn[:problems]
        ]

    def validate(self, prompts: list[Prompt], decoder: Decoder) -> Record:
        """Return the accuracy at each level and their mean: one response per prompt, with the same seed each time."""
        seeds = [(sample_seed(self.config.rollouts.seed, "validation", prompt.index, 0),) for prompt in prompts]
        before = self._seconds["seconds_generation"]
        levels = _accuracies(self._groups(prompts, seeds, decoder), "validation_accuracy_level")
        seconds = round(self._seconds["seconds_generation"] - before, 3)
        return {"validation_accuracy": fmean(levels.values()), **levels, "seconds_validation": seconds}

    def _batches(self, size: int) -> Iterator[list[Group]]:
        """Yield batches of ``size`` groups. The draw's number is part of the seed: a problem drawn again gets new responses."""
        rollouts = self.config.rollouts
        while True:
            draws = list(islice(self._stream, size))
            prompts = [self.sources[draw.source][draw.row] for draw in draws]
            seeds = [
                tuple(
                    sample_seed(rollouts.seed, self._phase, draw.number, prompt.index, sample) for sample in range(rollouts.samples)
                )
                for draw, prompt in zip(draws, prompts)
            ]
            yield self._groups(prompts, seeds, self.decoder)

    def _groups(self, prompts: list[Prompt], seeds: Sequence[tuple[int, ...]], decoder: Decoder) -> list[Group]:
        """Sample one response per seed of each prompt, and reward them."""
        responses: list[dict[int, Response]] = [{} for _ in prompts]  # by the position of the seed
        requests = [Request(prompt.row["prompt"], own_seeds) for prompt, own_seeds in zip(prompts, seeds)]
        start = time.monotonic()
        with self.generating():
            for number, sample, response in decoder.generate(requests):
                responses[number][sample] = response
        generated = time.monotonic()
        groups = [self._score(prompt, [own[sample] for sample in range(len(own))]) for prompt, own in zip(prompts, responses)]
        self._seconds["seconds_generation"] += generated - start
        self._seconds["seconds_scoring"] += time.monotonic() - generated
        return groups

    def _score(self, prompt: Prompt, responses: list[Response]) -> Group:
        texts = [(self.decoder.text(response.tokens), response.finish_reason == "length") for response in responses]
        scores = compute_scores(((prompt.row, text, truncated) for text, truncated in texts), self.scoring)
        return Group(prompt, responses, tuple(score["score"] for score in scores), tuple(score["acc"] for score in scores))


def _means(groups: list[Group]) -> Record:
    """Average over all responses."""
    responses = [response for group in groups for response in group.responses]
    return {
        "reward": fmean(reward for group in groups for reward in group.rewards),
        "accuracy": fmean(correct for group in groups for correct in group.correct),
        **_accuracies(groups, "accuracy_level"),
        "response_length": fmean(len(response.tokens) for response in responses),
        "truncated": fmean(response.finish_reason == "length" for response in responses),
    }


def _accuracies(groups: list[Group], prefix: str) -> Record:
    """Return the share of correct responses at each level, lowest first."""
    by_level: dict[int, list[float]] = {}
    for group in groups:
        by_level.setdefault(group.prompt.level, []).extend(group.correct)
    return {f"{prefix}{level}": fmean(by_level[level]) for level in sorted(by_level)}
