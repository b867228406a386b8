"""Specs of jobs that depend on more than one section of the configuration.

A rule gives its job one canonical JSON string (``fofg.config.canonical``), which Snakemake compares with that of the last run. GPU
counts, batch sizes, and checkpoint intervals are no part of it: they change speed, not results.
"""

import os
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, field_serializer

from fofg import names
from fofg.config import (
    Config,
    GRPOConfig,
    Phase,
    Problems,
    Rollouts,
    Scoring,
    Section,
    Selection,
    SFTConfig,
    TaskProblems,
    Validation,
    Warmup,
)
from fofg.config.countdown import COUNTDOWN, TRAINED_LEVEL
from fofg.config.types import AnswerRule, Hints
from fofg.config.values import is_file
from fofg.data.files import count_rows
from fofg.errors import UserError
from fofg.tasks.task import source_digest

AnySection = TypeVar("AnySection", bound=Section)
#: Version of the code that samples problems, for the jobs that write them and those that sample their own.
PROBLEMS_CODE = 4
#: The same of the code that samples Countdown problems.
COUNTDOWN_CODE = 1
#: The same of the code that selects training examples, scores responses, and fine-tunes.
SELECTION_CODE, SCORING_CODE, SFT_CODE = 4, 2, 4


class ProblemsSpec(Section):
    """Problems ``first`` ... ``first + rows - 1`` of one split of a dataset of the stage (1, 2) and levels (lowest, highest).

    ``functions``: of training, though the split is a test; ``pairs``: as in fofg.config.Dataset; null: all.
    """

    code: int = 0
    dataset: str
    stage: Literal[1, 2]
    levels: tuple[int, int]
    split: Literal["train", "test"]
    functions: Literal["train"] | None = Field(default=None, exclude_if=lambda functions: functions is None)
    pairs: Literal["seen", "new"] | None = Field(default=None, exclude_if=lambda pairs: pairs is None)
    first: int = 0
    rows: int
    problems: Problems | TaskProblems
    task_source: str | None = Field(None, exclude_if=lambda source: source is None)

    @field_serializer("problems")
    def _without_defaults(self, problems: TaskProblems) -> dict:
        """Leave out newer keys where they have no effect, so that problems made before them stay up to date."""
        return {key: value for key, value in problems.model_dump().items() if value or key not in ("docstrings", "data_source")}


class RolloutsSpec(Section):
    """Rollouts of problems ``first`` ... ``first + rows - 1`` of a dataset (``rows`` null: through its last problem).

    ``problems``: how to sample them; null reads them from rows of the same numbers in a file. ``definitions``: null uses the
    prompts as they are; true, "explained" or false rebuilds them with ``template``: definitions visible, with docstrings,
    or hidden. ``options``: settings of a custom engine, which may change its results.
    """

    code: int = 0
    engine: str
    options: dict[str, bool | int | float | str | None] | None = Field(None, exclude_if=lambda options: options is None)
    dtype: Literal["auto", "bfloat16", "float32"]
    first: int = 0
    rows: int | None = None
    problems: ProblemsSpec | None = Field(None, exclude_if=lambda problems: problems is None)
    definitions: Hints | None = None
    template: str | None = None
    rollouts: Rollouts


class SelectionSpec(Section):
    """``template``: of prompts without definitions, which replace the sampled ones; null: prompts stay as they are."""

    code: int = 0
    selection: Selection
    answer_rule: AnswerRule
    template: str | None


class WarmupSpec(Warmup):
    code: int = 0
    task: str
    template: str


class SFTSpec(Section):
    code: int = 0
    sft: SFTConfig


class RLSpec(Section):
    """``phases``: a curriculum; its mixtures name datasets or Parquet files."""

    code: int = 0
    rl: GRPOConfig
    phases: list[Phase]
    scoring: Scoring

    @field_serializer("rl")
    def _without_defaults(self, rl: GRPOConfig) -> dict:
        """Leave out a newer key where it has no effect, so that models trained before it stay up to date."""
        return {key: value for key, value in rl.model_dump(mode="json").items() if (key, value) != ("negative_weight", 1)}


class ValidationSpec(Validation):
    """``source``: how to sample ``dataset``, or a file. Not part of an RL run's spec, since a measurement changes no model."""

    source: ProblemsSpec | str


def part(model: type[AnySection], section: Section) -> AnySection:
    """Return a section reduced to the keys of ``model``, which it extends."""
    return model(**{name: getattr(section, name) for name in model.model_fields})


def problems(
    config: Config, dataset: str, split: Literal["train", "test"], first: int = 0, rows: int | None = None
) -> ProblemsSpec:
    """Return the spec of a dataset's split, or of a part of it. ``rows`` None: the whole split."""
    chosen = config.datasets[dataset]
    return ProblemsSpec(
        code=PROBLEMS_CODE,
        dataset=dataset,
        stage=chosen.stage,
        levels=chosen.levels,
        split=split,
        functions="train" if split == "test" and chosen.functions == "train" else None,
        pairs=None if chosen.pairs == "all" else chosen.pairs,
        first=first,
        rows=getattr(chosen, split) if rows is None else rows,
        problems=config.problems.of_stage(chosen.stage),
        **task(config),
    )


def countdown(config: Config, level: int, first: int = 0, rows: int | None = None) -> ProblemsSpec:
    """Return the spec of Countdown problems of ``level`` integers, or of a part of them: to train on, or to test with."""
    split: Literal["train", "test"] = "train" if level == TRAINED_LEVEL else "test"
    settings = config.countdown
    return ProblemsSpec(
        code=COUNTDOWN_CODE,
        dataset=COUNTDOWN,
        stage=1,
        levels=(level, level),
        split=split,
        first=first,
        rows=getattr(settings, split) if rows is None else rows,
        problems=settings.problems(),
        task_source=None,
    )


def countdown_shard(config: Config, number: int) -> dict:
    """Return the fields of a shard of rollouts of Countdown's training problems, which its job samples itself."""
    rows = shard(number, config.rollout_engine.shard_size, config.countdown.train)
    return {**rows, "problems": countdown(config, TRAINED_LEVEL, **rows)}


def task(config: Config) -> dict[str, str]:
    """Return what the spec of a job that uses the task has in addition: a digest of its source if it is the user's own."""
    source = source_digest(config.problems.task)
    return {"task_source": source} if source else {}


def shard(number: int, size: int, problems: int) -> dict[str, int]:
    """Return ``first`` and ``rows`` of a shard of ``size`` of all ``problems``. A full shard does not depend on their number."""
    return {"first": number * size, "rows": min(size, problems - number * size)}


def stage1_shard(config: Config, number: int, problems_in_all: int) -> dict:
    """Return the fields of a shard of Stage-1 rollouts; its job samples its problems itself unless the user provides a file."""
    rows = shard(number, config.rollout_engine.shard_size, problems_in_all)
    if config.use.stage1_problems:
        return rows
    return {**rows, "problems": problems(config, names.STAGE1_DATASET, "train", **rows)}


def engine(config: Config) -> dict:
    """Return the engine's part of a rollouts spec: name, dtype, and options where they may change results."""
    settings = config.rollout_engine
    options = settings.options if settings.is_own() and settings.options else None
    return {"engine": settings.name, "dtype": settings.dtype, "options": options}


def greedy(rollouts: Rollouts) -> Rollouts:
    """Return the settings of one greedy response per problem."""
    return rollouts.model_copy(update={"temperature": 0.0, "samples": 1, "top_p": 1.0, "seed": 0})


def validation(config: Config) -> ValidationSpec | None:
    """Return how RL runs are validated, or None if they are not."""
    settings = config.stage2.rl.validation
    if not settings.every:
        return None
    source = config.use.validation_problems or problems(config, settings.dataset, "test")
    return ValidationSpec(**settings.model_dump(), source=source)


def evaluation_problems(config: Config, section: Literal["evaluation", "passk"]) -> tuple[str | None, int]:
    """Return the user's own file of problems to evaluate on, or None, and the number of problems.

    Raises UserError if the file is damaged or empty.
    """
    if not (own := getattr(config.use, f"{section}_problems")):
        return None, config.datasets[getattr(config, section).dataset].test
    return own, num_problems(f"use.{section}_problems", own)


def split_names(config: Config, own: bool) -> list[str]:
    """Return what the problems of the evaluation and of its further splits test. ``own``: the evaluation's are the user's own.

    A dataset that tests the same as one before has its name added.
    """
    labels = ["own problems"] if own else [_split_name(config, config.evaluation.dataset)]
    for dataset in config.evaluation.splits:
        label = _split_name(config, dataset)
        labels.append(f"{label} ({dataset})" if label in labels else label)
    return labels


def _split_name(config: Config, dataset: str) -> str:
    chosen = config.datasets[dataset]
    if chosen.stage == 1:
        return "Stage-1 problems"
    if chosen.functions == "test":
        return "held-out functions"
    return {"seen": "seen pairs", "new": "new pairs of seen functions", "all": "seen functions"}[chosen.pairs]


def num_problems(key: str, path: str) -> int:
    """Return the number of problems in the user's own file. Raises UserError if it is damaged or empty."""
    if not (rows := count_rows(path)):
        raise UserError(f"{key}: {path} has no problems; correct the path, or make it again")
    return rows


def curriculum_sources(config: Config, curriculum: str) -> dict[str, str | None]:
    """Return the names in a curriculum's mixtures, sorted: datasets, with None, and the user's files, with their paths."""
    sources = {name for phase in config.stage2.rl.curricula[curriculum] for name in phase.mixture}
    return {name: name if is_file(name) else None for name in sorted(sources)}


def own_problems(config: Config) -> dict[str, str]:
    """Return ``dataset/split`` -> file of the user's own problems: mixed into curricula, cut into chunks, or to evaluate on."""
    phases = [phase for phases in config.stage2.rl.curricula.values() for phase in phases]
    paths = [name for phase in phases for name in phase.mixture if is_file(name)]
    if config.use.stage2_rft_problems:
        paths.append(config.use.stage2_rft_problems)
    named = {f"own{number}_{Path(path).stem}/train": path for number, path in enumerate(dict.fromkeys(paths))}
    tests = {f"own_{key}/test": getattr(config.use, f"{key}_problems") for key in ("validation", "evaluation", "passk")}
    return named | {name: path for name, path in tests.items() if path}


def example_files(folder: str) -> dict[str, str]:
    """Return split -> file of the user's own RFT data: Parquet, or JSON Lines where there is no Parquet file."""
    return {
        split: next((path for path in (f"{folder}/{split}.parquet", f"{folder}/{split}.jsonl") if os.path.exists(path)), "")
        or f"{folder}/{split}.parquet"
        for split in ("train", "test")
    }


def own_rows(config: Config) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the user's own files of problems and of examples, as pairs of key and file."""
    problems = {f"use.{key}": path for key, path in config.use.model_dump().items() if key.endswith("_problems")}
    pairs = [(key, path) for key, path in problems.items() if path]
    for name, phases in config.stage2.rl.curricula.items():
        sources = {source: None for phase in phases for source in phase.mixture if is_file(source)}
        pairs += [(f"stage2.rl.curricula.{name}", source) for source in sources]
    folder = config.use.stage1_rft_data
    return pairs, [("use.stage1_rft_data", path) for path in example_files(folder).values()] if folder else []


def own_files(config: Config) -> list[str]:
    """Return the files and folders that the user provides. A damaged one can't be made again by removing it."""
    base = config.base_model if isinstance(config.base_model, str) else None
    files = config.use.model_dump(exclude={"models"})
    paths = [base, *files.values(), *config.use.models.values(), *own_problems(config).values()]
    return [path for path in paths if path]
