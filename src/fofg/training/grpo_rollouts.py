"""The groups of a step of reinforcement learning, and validation: problems drawn, responses sampled and rewarded."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from statistics import fmean
from typing import NamedTuple

from fofg.rollouts.decoding import Decoder, Response
from fofg.rollouts.engine import Request
from fofg.rollouts.sampling import sample_seed
from fofg.stages import TrainRl
from fofg.tasks.rewards import compute_scores
from fofg.training import curricula
from fofg.training.groups import Filled, fill
from fofg.training.metrics import Record


class Problem(NamedTuple):
    """A row (fofg.data.schemas.PROBLEMS) and its prompt's tokens."""

    row: dict
    prompt: list[int]

    @property
    def index(self) -> int:
        return self.row["extra_info"]["index"]

    @property
    def level(self) -> int:
        return self.row["extra_info"]["level"]


class Group(NamedTuple):
    """A problem's responses, each with its reward and whether it is correct (1.0, 0.0)."""

    problem: Problem
    responses: list[Response]
    rewards: list[float]
    correct: list[float]


class Step(NamedTuple):
    """The groups to train on, and what is recorded of all that were drawn."""

    groups: list[Group]
    record: Record


class Sampler:
    """Draws the steps of a curriculum from the model that a decoder holds: the same ones for the same weights.

    ``sources``: problems of each name in the mixtures; ``validation``: the problems that ``validator`` answers when ``validate`` is
    called; ``decoding``: gives a context in which the decoders may be used.
    """

    def __init__(
        self,
        spec: TrainRl,
        sources: dict[str, list[Problem]],
        validation: list[Problem],
        decoder: Decoder,
        validator: Decoder,
        decoding: Callable[[], AbstractContextManager],
    ):
        self.spec, self.sources, self.validation = spec, sources, validation
        self.decoder, self.validator, self.decoding = decoder, validator, decoding
        self._phase, self._stream = 0, iter(())
        self._generation = self._scoring = 0.0

    def step(self, number: int, records: Sequence[Record]) -> Step:
        """Return the groups of a step (from 1), by dynamic sampling if ``filter_groups``. ``records``: of all steps before."""
        settings = self.spec.rl
        phase = curricula.phase_of(number, [phase.steps for phase in self.spec.phases])
        drawn = records[-1]["prompts_drawn"] if records and records[-1].get("phase") == phase else 0
        if phase != self._phase:
            sizes = {name: len(problems) for name, problems in self.sources.items()}
            mixture = self.spec.phases[phase - 1].mixture
            self._phase, self._stream = phase, curricula.draws(mixture, sizes, settings.seed, phase, skip=drawn)
        self._generation = self._scoring = 0.0
        if settings.filter_groups:
            filled = fill(self._batches(settings.generation_prompts), settings.prompts_per_step, settings.max_generation_batches)
        else:
            groups = next(self._batches(settings.prompts_per_step))
            filled = Filled(groups, groups, batches=1, limit_reached=False)
        record = {
            "step": number,
            "phase": phase,
            **_means(filled.drawn),
            "prompts": len(filled.drawn),
            "groups": len(filled.drawn),
            "groups_kept": len(filled.kept),
            "generation_batches": filled.batches,
            "limit_reached": filled.limit_reached,
            "prompts_drawn": drawn + len(filled.drawn),
            "seconds_generation": round(self._generation, 3),
            "seconds_scoring": round(self._scoring, 3),
        }
        return Step(filled.kept, record)

    def validate(self) -> Record:
        """Accuracy at each level and their mean: one response to each problem, with the same seed each time."""
        seed = self.spec.rl.rollouts.seed
        seeds = [(sample_seed(seed, "validation", problem.index, 0),) for problem in self.validation]
        groups = self._groups(self.validation, seeds, self.validator)
        levels = _accuracies(groups, "validation_accuracy_level")
        return {"validation_accuracy": fmean(levels.values()), **levels}

    def _batches(self, size: int) -> Iterator[list[Group]]:
        """Generate batches of ``size`` groups. A problem that comes again gets other seeds."""
        settings = self.spec.rl
        while True:
            draws = list(islice(self._stream, size))
            problems = [self.sources[draw.source][draw.row] for draw in draws]
            seeds = [
                tuple(
                    sample_seed(settings.rollouts.seed, self._phase, draw.number, problem.index, sample)
                    for sample in range(settings.rollouts.samples)
                )
                for draw, problem in zip(draws, problems)
            ]
            yield self._groups(problems, seeds, self.decoder)

    def _groups(self, problems: list[Problem], seeds: list[tuple[int, ...]], decoder: Decoder) -> list[Group]:
        """A response for each seed of each problem, and their rewards."""
        responses: list[list[Response]] = [[None] * len(own) for own in seeds]
        requests = [Request(problem.row["prompt"], own) for problem, own in zip(problems, seeds)]
        start = time.monotonic()
        with self.decoding():
            for number, sample, response in decoder.generate(requests):
                responses[number][sample] = response
        generated = time.monotonic()
        groups = [self._group(problem, own) for problem, own in zip(problems, responses)]
        self._generation += generated - start
        self._scoring += time.monotonic() - generated
        return groups

    def _group(self, problem: Problem, responses: list[Response]) -> Group:
        scores = compute_scores(
            ((problem.row, self.decoder.text(response.tokens), response.finish_reason == "length") for response in responses),
            self.spec.scoring,
        )
        return Group(problem, responses, [score["score"] for score in scores], [score["acc"] for score in scores])


def _means(groups: list[Group]) -> Record:
    """Means over all responses."""
    responses = [response for group in groups for response in group.responses]
    return {
        "reward": fmean(reward for group in groups for reward in group.rewards),
        "accuracy": fmean(correct for group in groups for correct in group.correct),
        **_accuracies(groups, "accuracy_level"),
        "response_length": fmean(len(response.tokens) for response in responses),
        "truncated": fmean(response.finish_reason == "length" for response in responses),
    }


def _accuracies(groups: list[Group], name: str) -> Record:
    """Share of correct responses at each level, lowest first; ``name``: what stands before the level."""
    levels = sorted({group.problem.level for group in groups})
    return {
        f"{name}{level}": fmean(correct for group in groups if group.problem.level == level for correct in group.correct)
        for level in levels
    }
