"""Transfer to another task: Countdown (paper §4.3)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from fofg.config.stage1 import COUNTDOWN, Rollouts, Selection, TaskProblems, has_placeholders
from fofg.config.types import Count, Levels, Natural, Section

#: Integers of the problems that Stage 1 trains on, and the most that a problem has; a level is the number of integers.
TRAINED_LEVEL, MAX_LEVEL = 2, 6


def _untrained(levels: tuple[int, int]) -> tuple[int, int]:
    if levels[0] <= TRAINED_LEVEL:
        raise ValueError(f"the lowest is {levels[0]}, but {TRAINED_LEVEL} integers are what Stage 1 trains on; start at 3 or above")
    if levels[1] > MAX_LEVEL:
        raise ValueError(f"the highest is {levels[1]}, but problems have at most {MAX_LEVEL} integers")
    return levels


Wording = Annotated[str, AfterValidator(lambda template: has_placeholders(template, COUNTDOWN))]


class CountdownShare(Section):
    """Countdown in the pre-training of an embedded model."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(description="share of the conversations that are about Countdown")
    template: Wording = Field(description="wording of their prompts, as in countdown.template")


class Mixture(Section):
    """Examples of both tasks in one training file."""

    strings: Count | None = Field(description="examples of the string problems; null: all")
    countdown: Count | None = Field(description="examples of Countdown; null: all")
    seed: Natural = Field(description="of the choice of examples and of their order")


class Countdown(Section):
    """A Stage-1 model of both tasks, RL on strings alone, and Countdown problems of more integers to measure what carries over.

    Fine-tuning is as in ``stage1.sft``, RL as in ``stage2.rl``. A level is the number of integers.
    """

    seed: Natural = Field(description="of the problems")
    template: Wording = Field(description="wording of the prompt, with {numbers} and {target} once each")
    train: Count = Field(description="problems of 2 integers for Stage 1; 50,000 in the paper")
    levels: Annotated[Levels, AfterValidator(_untrained)] = Field(description="integers of test problems, fewest and most")
    test: Count = Field(description="test problems per level; 128 in the paper")
    rollouts: Rollouts = Field(description="responses of the start model to the problems of 2 integers")
    rft: Selection
    mixture: Mixture
    curricula: list[str] = Field(description="curricula of stage2.rl that also start from the model of both tasks")
    models: list[str] = Field(description="models of the string experiment that answer Countdown problems too")
    test_rollouts: Rollouts = Field(description="responses to test problems; samples: n of avg@n")

    def problems(self) -> TaskProblems:
        """Return the settings that Countdown problems depend on."""
        return TaskProblems(task=COUNTDOWN, seed=self.seed, template=self.template, data_source=None)

    def test_levels(self) -> list[int]:
        return list(range(self.levels[0], self.levels[1] + 1))
