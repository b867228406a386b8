"""The project's problems as an environment of ``verifiers`` 0.4 (docs/publish.md): its prompts, and rewards from its own grading.

A package of its own, since ``verifiers`` finds a taskset by the name of a top-level package. No response is ever executed: the
only thing done with one is ``Task.grade``.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import verifiers.v1 as vf
from verifiers.v1.harnesses.null.harness import NullHarness

from fofg import specs
from fofg.config import DEFAULT, load, merged, read
from fofg.config.types import AnswerRule
from fofg.data import datasets
from fofg.data.reading import problem_rows
from fofg.errors import UserError
from fofg.tasks import task as tasks

__all__ = ["NullHarness", "Problems"]


class ProblemData(vf.TaskData):
    """A problem. ``row``: what it is graded by (fofg.data.schemas.PROBLEMS); the model sees the prompt alone."""

    row: dict[str, Any]


class Grading(vf.TaskConfig):
    """How responses are graded; keys and values as of the section ``scoring`` of the configuration."""

    scheme: Literal["published_code", "binary"] = "published_code"
    answer_rule: AnswerRule = "published"


class ProblemsConfig(vf.TasksetConfig):
    """Which problems are loaded.

    ``file``: problems in Parquet or JSON Lines, whoever wrote them; else those of ``split`` of ``dataset`` are sampled, as the
    configuration says: the default one with the overlays ``configfile``.
    """

    file: Path | None = None
    dataset: str = "stage2_level1to2"
    split: Literal["train", "test"] = "train"
    configfile: list[Path] = []
    task: Grading = Grading()


class ProblemTask(vf.Task[ProblemData, vf.State, Grading]):
    """A problem, answered in one turn."""

    def _outcome(self, trace: vf.Trace) -> tasks.Outcome:
        task, problem = tasks.read(self.data.row, f"problem {self.data.idx}")
        return task.grade(problem, trace.last_reply, trace.is_truncated, self.config.answer_rule)

    @vf.reward
    async def outcome(self, trace: vf.Trace) -> float:
        return tasks.REWARDS[self.config.scheme][self._outcome(trace)]

    @vf.metric
    async def correct(self, trace: vf.Trace) -> float:
        return float(self._outcome(trace) is tasks.Outcome.CORRECT)

    @vf.metric
    async def answered(self, trace: vf.Trace) -> float:
        return float(self._outcome(trace) is not tasks.Outcome.NO_ANSWER)


class Problems(vf.Taskset[ProblemTask, ProblemsConfig]):
    """Problems of one split of a dataset, or of a file."""

    def load(self) -> Iterator[ProblemTask]:
        """Yield the problems in order. Raises UserError if there are none, or a file is damaged."""
        for row in self._rows():
            graded = {key: row[key] for key in ("data_source", "reward_model", "extra_info")}
            name = f"{graded['data_source']}, level {(graded['extra_info'] or {}).get('level')}"
            yield ProblemTask(ProblemData(name=name, prompt=_prompt(row["prompt"]), row=graded), self.config.task)

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        config = self.config
        settings = load(merged(read([DEFAULT]), read(config.configfile)))
        os.environ.update(tasks.task_variables(settings.problems))
        if config.file:
            return problem_rows(config.file)
        if not getattr(settings.datasets.get(config.dataset), config.split, 0):
            raise UserError(f"dataset: {config.dataset} has no {config.split} problems; there are {', '.join(settings.datasets)}")
        spec = specs.problems(settings, config.dataset, config.split)
        return (row for batch in datasets.batches(spec) for row in batch.to_pylist())


def _prompt(messages: list[dict[str, str]]) -> Any:
    """Return a prompt of one user message as its text, which agents' own system texts may precede; others as messages."""
    if [message["role"] for message in messages] == ["user"]:
        return messages[0]["content"]
    return messages
