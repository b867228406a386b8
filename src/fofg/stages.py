"""What each stage depends on: its part of the configuration and the version of its code, as one canonical JSON string.

Snakemake compares these strings, so exactly the rules whose part changed rerun. Raise a stage's version when its code changes its
results. GPU counts, batch shapes, checkpoints' spacing and the like are no part of a spec: they change speed, not results.
"""

import json
from typing import Literal

from fofg import config
from fofg.config import Config, Section

VERSIONS = {
    "prepare_base_model": 1,
    "create_problems": 1,
    "gather_problems": 1,
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
    "prepare_base_model": ["src/fofg/models.py", "src/fofg/chat_templates.py"],
    "create_problems": ["src/fofg/problems/*.py", "src/fofg/schemas.py"],
    "gather_problems": ["src/fofg/problems/datasets.py", "src/fofg/schemas.py"],
    "generate_rollouts": [
        "src/fofg/rollouts/*.py",
        "src/fofg/problems/prompts.py",
        "src/fofg/problems/functions.py",
        "src/fofg/schemas.py",
    ],
    "gather_rollouts": ["src/fofg/rollouts/gather.py", "src/fofg/schemas.py"],
    "select_rft_data": [
        "src/fofg/rft/*.py",
        "src/fofg/scoring/*.py",
        "src/fofg/problems/prompts.py",
        "src/fofg/problems/functions.py",
        "src/fofg/schemas.py",
    ],
    "train_sft": ["src/fofg/training/*.py", "src/fofg/models.py"],
    "score_rollouts": ["src/fofg/evaluation/*.py", "src/fofg/scoring/*.py", "src/fofg/schemas.py"],
    "summarize_accuracy": ["src/fofg/evaluation/accuracy.py", "src/fofg/report/tables.py"],
    "plot_figures": ["src/fofg/report/*.py", "src/fofg/evaluation/accuracy.py", "src/fofg/training/metrics.py"],
    "build_tiny_base": [
        "src/fofg/pretraining/*.py",
        "src/fofg/problems/prompts.py",
        "src/fofg/problems/functions.py",
        "src/fofg/problems/expressions.py",
    ],
}
#: What sampler ``paper`` uses whatever the configuration says: its inputs have 3 to 10 letters, its outputs any length.
PUBLISHED = {"input_length": (3, 10), "max_output_length": None}


class Spec(Section):
    version: int

    def text(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


class PrepareBaseModel(Spec):
    base_model: str
    plain_prompt: bool


class CreateProblems(Spec):
    """Problems ``first`` ... ``first + rows - 1`` of one split of a data set."""

    dataset: str
    split: Literal["train", "test"]
    first: int = 0
    rows: int
    problems: config.Problems


class GatherProblems(Spec):
    shards: int


class GenerateRollouts(Spec):
    """Roll-outs of problems ``first`` ... ``first + rows - 1`` of a set (``rows`` null: to its end).

    ``offset``: the row of problem ``first`` in the file, which may hold the whole set or a shard of it. ``definitions``: null uses
    the prompts as they stand; true or false rebuilds them with ``template``, showing definitions or not.
    """

    engine: str
    dtype: Literal["auto", "bfloat16", "float32"]
    first: int
    rows: int | None
    offset: int = 0
    definitions: bool | None = None
    template: str | None = None
    rollouts: config.Rollouts


class GatherRollouts(Spec):
    shards: int


class SelectRftData(Spec):
    """``template``: of prompts without definitions; null if they are kept."""

    rft: config.Rft
    scoring: config.Scoring
    template: str | None


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


def create_problems(settings: Config, dataset: str, split: str) -> CreateProblems:
    """All problems of a split. The published procedure has input lengths of its own and no cap."""
    rows = getattr(getattr(settings.datasets, dataset), split)
    problems = settings.problems
    if problems.sampler == "paper":
        problems = problems.model_copy(update=PUBLISHED)
    return CreateProblems(version=VERSIONS["create_problems"], dataset=dataset, split=split, rows=rows, problems=problems)


def create_problem_shard(settings: Config, dataset: str, shard: int) -> CreateProblems:
    """One shard of a training split. A full shard's spec does not depend on how many there are."""
    whole = create_problems(settings, dataset, "train")
    return whole.model_copy(update=_shard(settings, shard, whole.rows))


def gather_problems(settings: Config, dataset: str) -> GatherProblems:
    rows = create_problems(settings, dataset, "train").rows
    return GatherProblems(version=VERSIONS["gather_problems"], shards=shard_count(settings, rows))


def _shard(settings: Config, shard: int, problems: int) -> dict[str, int]:
    size = settings.rollout_engine.shard_size
    return {"first": shard * size, "rows": min(size, problems - shard * size)}


def generate_rollouts(settings: Config, shard: int, problems: int) -> GenerateRollouts:
    """Stage-1 roll-outs of one shard of so many problems, which lie in a file a shard, or in one file of the user's own."""
    where = _shard(settings, shard, problems)
    return GenerateRollouts(
        version=VERSIONS["generate_rollouts"],
        engine=settings.rollout_engine.name,
        dtype=settings.rollout_engine.dtype,
        **where,
        offset=where["first"] if settings.use.stage1_problems else 0,
        rollouts=settings.stage1.rollouts,
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
        template=None if settings.stage1.rft.keep_definitions else settings.problems.template,
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
