"""What each stage depends on: its part of the configuration and the version of its code, as one canonical JSON string.

Snakemake compares these strings, so exactly the rules whose part changed rerun. Raise a stage's version when its code changes its
results. GPU counts, batch shapes, checkpoints' spacing and the like are no part of a spec: they change speed, not results.
"""

import json
from typing import Literal

from fofg import config
from fofg.config import Config, Section
from fofg.problems.registry import DATASETS as DATASETS

VERSIONS = {
    "prepare_base_model": 1,
    "create_problems": 1,
    "generate_rollouts": 1,
    "gather_rollouts": 1,
    "select_rft_data": 1,
    "train_sft": 1,
    "score_rollouts": 1,
    "summarize_accuracy": 1,
    "plot_figures": 1,
    "build_tiny_base": 1,
}
#: Stage -> the files whose code makes its results. A change there raises the stage's version, or is waived (CONTRIBUTING.md).
SOURCES = {
    "prepare_base_model": ["src/fofg/models.py"],
    "create_problems": ["src/fofg/problems/*.py"],
    "generate_rollouts": ["src/fofg/rollouts/*.py", "src/fofg/problems/prompts.py"],
    "gather_rollouts": ["src/fofg/rollouts/gather.py"],
    "select_rft_data": ["src/fofg/rft/*.py", "src/fofg/scoring/*.py", "src/fofg/problems/prompts.py"],
    "train_sft": ["src/fofg/training/*.py"],
    "score_rollouts": ["src/fofg/evaluation/*.py", "src/fofg/scoring/*.py"],
    "summarize_accuracy": ["src/fofg/evaluation/accuracy.py", "src/fofg/report/tables.py"],
    "plot_figures": ["src/fofg/report/*.py"],
    "build_tiny_base": ["src/fofg/pretraining/*.py", "src/fofg/problems/functions.py", "src/fofg/problems/prompts.py"],
}


class Spec(Section):
    version: int

    def text(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


class PrepareBaseModel(Spec):
    base_model: str
    plain_prompt: bool


class ProblemSource(Spec):
    """What decides each problem of a data set, whatever their number."""

    dataset: str
    problems: config.Problems


class CreateProblems(ProblemSource):
    """``rows`` problems of one split of a data set."""

    split: Literal["train", "test"]
    rows: int


class GenerateRollouts(Spec):
    """Roll-outs of problems ``first`` ... ``first + rows - 1`` of a file (``rows`` null: to its end).

    ``definitions``: null uses the prompts as they stand; true or false rebuilds them with ``template``, showing definitions or not.
    ``source`` says where the problems come from, so that a change there is seen although the file only grew.
    """

    engine: str
    dtype: Literal["auto", "bfloat16", "float32"]
    first: int
    rows: int | None
    definitions: bool | None = None
    template: str | None = None
    rollouts: config.Rollouts
    source: ProblemSource | str | None = None


class GatherRollouts(Spec):
    shards: int


class SelectRftData(Spec):
    rft: config.Rft
    scoring: config.Scoring
    template: str


class TrainSft(Spec):
    sft: config.Sft


class ScoreRollouts(Spec):
    scoring: config.Scoring


class SummarizeAccuracy(Spec):
    models: list[str]


class PlotFigures(Spec):
    figures: config.Figures


class BuildTinyBase(Spec):
    tiny_base: config.TinyBase
    template: str


def shard_count(settings: Config, problems: int) -> int:
    """Shards of ``shard_size`` that hold so many problems."""
    return -(-problems // settings.rollout_engine.shard_size)


def prepare_base_model(settings: Config) -> PrepareBaseModel:
    return PrepareBaseModel(
        version=VERSIONS["prepare_base_model"], base_model=settings.base_model, plain_prompt=settings.plain_prompt
    )


def problem_source(settings: Config, dataset: str) -> ProblemSource:
    return ProblemSource(version=VERSIONS["create_problems"], dataset=dataset, problems=settings.problems)


def create_problems(settings: Config, dataset: str, split: str) -> CreateProblems:
    rows = getattr(getattr(settings.datasets, dataset), split)
    return CreateProblems(version=VERSIONS["create_problems"], dataset=dataset, split=split, rows=rows, problems=settings.problems)


def generate_rollouts(settings: Config, shard: int, problems: int) -> GenerateRollouts:
    """Stage-1 roll-outs of one shard of so many problems. The number of problems is no part of a full shard's spec."""
    size = settings.rollout_engine.shard_size
    return GenerateRollouts(
        version=VERSIONS["generate_rollouts"],
        engine=settings.rollout_engine.name,
        dtype=settings.rollout_engine.dtype,
        first=shard * size,
        rows=min(size, problems - shard * size),
        rollouts=settings.stage1.rollouts,
        source=settings.use.stage1_problems or problem_source(settings, "stage1_level1"),
    )


def generate_evaluation_rollouts(settings: Config, definitions: str) -> GenerateRollouts:
    """Roll-outs on a whole file of held-back problems, definitions ``visible`` or ``hidden``."""
    return GenerateRollouts(
        version=VERSIONS["generate_rollouts"],
        engine=settings.rollout_engine.name,
        dtype=settings.rollout_engine.dtype,
        first=0,
        rows=None,
        definitions=definitions == "visible",
        template=settings.problems.template,
        rollouts=settings.evaluation.rollouts,
    )


def gather_rollouts(settings: Config, problems: int) -> GatherRollouts:
    return GatherRollouts(version=VERSIONS["gather_rollouts"], shards=shard_count(settings, problems))


def select_rft_data(settings: Config) -> SelectRftData:
    return SelectRftData(
        version=VERSIONS["select_rft_data"],
        rft=settings.stage1.rft,
        scoring=settings.scoring,
        template=settings.problems.template,
    )


def train_sft(settings: Config) -> TrainSft:
    return TrainSft(version=VERSIONS["train_sft"], sft=settings.stage1.sft)


def score_rollouts(settings: Config) -> ScoreRollouts:
    return ScoreRollouts(version=VERSIONS["score_rollouts"], scoring=settings.scoring)


def summarize_accuracy(models: list[str]) -> SummarizeAccuracy:
    return SummarizeAccuracy(version=VERSIONS["summarize_accuracy"], models=models)


def plot_figures(settings: Config) -> PlotFigures:
    return PlotFigures(version=VERSIONS["plot_figures"], figures=settings.figures)


def build_tiny_base(settings: Config) -> BuildTinyBase:
    return BuildTinyBase(version=VERSIONS["build_tiny_base"], tiny_base=settings.tiny_base, template=settings.problems.template)
