"""Problems, rollouts, selection and supervised fine-tuning: the sections of Stage 1, used by Stage 2 too."""

import difflib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from fofg.config.types import (
    AnswerRule,
    Betas,
    Count,
    Hints,
    Levels,
    LossAggMode,
    Natural,
    Positive,
    Probability,
    Section,
    TrainingEngine,
    known,
)

#: The task of the paper, and that of its transfer experiment.
STRINGS, COUNTDOWN = "string_task", "countdown"
#: Task -> what the wording of its prompts has once each.
PLACEHOLDERS = {STRINGS: ("{code}", "{input}"), COUNTDOWN: ("{numbers}", "{target}")}
#: What sampler ``paper`` uses whatever the configuration says: its inputs have 3 to 10 letters, its outputs any length.
PUBLISHED = {"input_length": (3, 10), "max_output_length": None}
#: What the scheme ``published_code`` was once called.
OLD_SCHEME = "paper"


class Pools(Section):
    """Functions (a task's skills) in the problems of Stage 2."""

    train: list[str] = Field(description="functions of training problems, by readable name")
    test: list[str] = Field(description="held-out functions, of test problems")

    @field_validator("train", "test")
    @classmethod
    def _sorted(cls, names: list[str]) -> list[str]:
        if not names:
            raise ValueError("no function; name one or more")
        return sorted(set(names))  # so that the order in a file reruns nothing


def has_placeholders(template: str, task: str | None) -> str:
    """Check the wording of a task's prompts; that of a task of the user's own may be any."""
    for placeholder in PLACEHOLDERS.get(task or "", ()):
        if template.count(placeholder) != 1:
            raise ValueError(f"needs {placeholder} exactly once, has it {template.count(placeholder)} times")
    return template


class TaskProblems(Section):
    """What the problems of any task depend on."""

    task: str = Field(description="name of the task")
    seed: Natural
    template: str = Field(description="wording of the prompt")
    data_source: str | None = Field(
        None, pattern=r"^\S+$", description="data_source of the rows, by which others' code finds its reward; null: the task's name"
    )

    def hints(self, stage: int) -> Hints:
        """Return the hints that prompts of a stage show (Task.prompt)."""
        return stage == 1


class Problems(TaskProblems):
    """Sampling and prompts of problems (paper §3.1)."""

    task: str = Field(STRINGS, description="string_task, countdown, or package.module:Class of a task of your own")
    pools: Pools | None = Field(None, description="functions in the problems of stage 2; null: the sampler's own split")
    sampler: Literal["paper", "balanced"] = Field(description="paper: the published procedure, row for row; balanced: our own")
    seed: Natural = Field(description="42 in the paper")
    input_length: tuple[Count, Count] = Field(description="minimum and maximum characters of an input (balanced)")
    max_output_length: Count | None = Field(description="maximum characters of every step of a problem (balanced); null: no limit")
    template: str = Field(description="wording of the prompt, with {code} and {input} once each")
    docstrings: bool = Field(False, description="visible definitions have a docstring each that says what the function does")

    @field_validator("task")
    @classmethod
    def _is_known(cls, task: str) -> str:
        return known(task, tuple(PLACEHOLDERS), "package.module:Class", kind="task")

    @field_validator("pools")
    @classmethod
    def _are_apart(cls, pools: Pools | None, info: ValidationInfo) -> Pools | None:
        if pools is None:
            return None
        if shared := sorted({*pools.train} & {*pools.test}):
            raise ValueError(f"{', '.join(shared)} in train and in test; a function belongs to one side")
        if info.data.get("task") == STRINGS:
            from fofg.tasks.strings.functions import FUNCTIONS  # which imports the configuration

            for name in sorted({*pools.train, *pools.test} - FUNCTIONS.keys()):
                close = difflib.get_close_matches(name, FUNCTIONS, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(FUNCTIONS)}"
                raise ValueError(f"no function {name}; {hint}")
        return pools

    def of_stage(self, stage: int) -> "Problems":
        """Return the part that problems of a stage depend on."""
        changes: dict[str, Any] = {"docstrings": False} if stage == 2 else {"pools": None}
        if self.sampler == "paper":
            changes |= PUBLISHED
        return self.model_copy(update=changes)

    def hints(self, stage: int) -> Hints:
        """Return the hints that prompts of a stage show (Task.prompt)."""
        return "explained" if self.docstrings and stage == 1 else stage == 1

    @field_validator("template")
    @classmethod
    def _has_placeholders(cls, template: str, info: ValidationInfo) -> str:
        return has_placeholders(template, info.data.get("task"))

    @field_validator("input_length")
    @classmethod
    def _is_range(cls, length: tuple[int, int]) -> tuple[int, int]:
        if length[0] > length[1]:
            raise ValueError(f"the fewest ({length[0]}) is more than the most ({length[1]})")
        return length

    @field_validator("max_output_length")
    @classmethod
    def _has_room(cls, longest: int | None, info: ValidationInfo) -> int | None:
        if longest is not None and "input_length" in info.data and longest < info.data["input_length"][1]:
            raise ValueError(f"less than the longest input ({info.data['input_length'][1]})")
        return longest


class Dataset(Section):
    """One set of problems: equal shares of each level."""

    stage: Literal[1, 2] = Field(
        description="1: all functions, definitions visible; 2: definitions hidden, training functions in train, others in test"
    )
    levels: Levels
    train: Natural = Field(description="training problems; 0: none")
    test: Natural = Field(description="test problems; 0: none")
    functions: Literal["train", "test"] = Field(
        default="test", description="functions of a test split of stage 2: those that training composes, or the held-out ones"
    )
    pairs: Literal["all", "seen", "new"] = Field(
        default="all",
        description="pairs f(g(x)) of training functions: seen leaves a quarter out, new has no others; all: any pair",
    )

    def shares(self, rows: int) -> list[tuple[int, int]]:
        """Return (level, problems) pairs, lowest level first: equal shares of ``rows``, the remainder to the lowest levels."""
        low, high = self.levels
        share, remainder = divmod(rows, high - low + 1)
        return [(level, share + (level - low < remainder)) for level in range(low, high + 1)]


def _renamed(scheme: object) -> object:
    return "published_code" if scheme == OLD_SCHEME else scheme


class Scoring(Section):
    """Grading of answers, and rewards of reinforcement learning (paper §3.3; the published reward function)."""

    scheme: Annotated[Literal["published_code", "binary"], BeforeValidator(_renamed)] = Field(
        description="rewards for a correct answer, a wrong one, none; published_code: 1, 0, -1; binary (the paper's text): 1, 0, 0"
    )
    answer_rule: AnswerRule = Field(
        description="lenient also finds answers that the published rule misses, but none in a draft within <think>"
    )


class Rollouts(Section):
    """One set of rollouts."""

    samples: Count = Field(description="responses per problem")
    temperature: Annotated[float, Field(ge=0)] = Field(description="0: greedy")
    top_p: Probability
    max_prompt_tokens: Count
    max_response_tokens: Count
    long_prompts: Literal["error", "skip"] = Field(
        description="what to do with a prompt above max_prompt_tokens; skips are counted"
    )
    seed: Natural


class Selection(Section):
    """From rollouts to training examples (paper §3.2)."""

    keep_truncated: bool = Field(description="score a response cut at the token limit like any other; false: drop it")
    drop_duplicates: bool = Field(description="keep one of several equal responses to a problem")
    max_per_problem: Count | None = Field(description="maximum responses per problem; null: no limit")
    max_tokens: Count | None = Field(description="drop longer responses, in tokens; null: no limit")
    turns_per_example: Count = Field(description="maximum problems per conversation, one per turn; 1 in the paper")
    test_rows: Natural = Field(description="examples in rft_data/test.parquet; 1 in the paper")
    seed: Natural


class Stage1Selection(Selection):
    keep_definitions: bool = Field(description="false (paper): the training prompt does not show the definitions")


class SFTConfig(Section):
    """Supervised fine-tuning."""

    engine: TrainingEngine
    learning_rate: Positive
    epochs: Count
    batch_size: Count = Field(description="examples per optimizer step")
    last_batch: Literal["merge", "drop", "keep"] = Field(
        description="an epoch's remainder that fills no batch: merge it into the previous batch, drop it, or keep it as a batch"
    )
    max_length: Count = Field(description="tokens of prompt and response together")
    too_long: Literal["error", "skip", "truncate"] = Field(
        description="examples above max_length; truncate (paper) cuts on the right"
    )
    warmup_ratio: Annotated[float, Field(ge=0, le=1)]
    schedule: Literal["constant", "linear", "cosine"]
    weight_decay: Annotated[float, Field(ge=0)]
    betas: Betas
    loss_agg_mode: LossAggMode
    max_grad_norm: Positive
    precision: Literal["auto", "bfloat16", "float32"] = Field(description="auto: bfloat16 where the machine has it")
    seed: Natural


class Warmup(Section):
    """Worked examples of a task, with definitions visible (Task.worked_examples)."""

    examples: Natural = Field(description="worked examples to train on; 0: no warm-up, so Stage 1 starts from the base model")
    test_rows: Natural = Field(description="further examples, for the loss curve")
    skills: Literal["others", "all"] = Field(
        description="others: functions that no problem has; all: in examples of one step the problems' own too, under other names"
    )
    levels: Levels
    seed: Natural


class Stage0(Warmup):
    """Warm-up for a base model that solves none of Stage 1's problems."""

    sft: SFTConfig


class Stage1(Section):
    """Atomic skills by rejection fine-tuning."""

    rollouts: Rollouts
    rft: Stage1Selection
    sft: SFTConfig
