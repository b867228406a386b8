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
    "generate_rollouts": 1,
    "gather_rollouts": 1,
    "select_rft_data": 1,
    "train_sft": 1,
    "score_rollouts": 1,
    "summarize_accuracy": 1,
    "plot_figures": 1,
    "build_tiny_base": 1,
}

#: Data set -> fewest and most levels, function pool, definitions shown in its prompts.
DATASETS = {
    "stage1_level1": {"levels": (1, 1), "definitions": True, "stage": 1},
}


class Spec(Section):
    version: int

    def text(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


class PrepareBaseModel(Spec):
    base_model: str
    plain_prompt: bool


class CreateProblems(Spec):
    """``rows`` problems of one split of a data set."""

    dataset: str
    split: Literal["train", "test"]
    rows: int
    problems: config.Problems


class GenerateRollouts(Spec):
    """Roll-outs of problems ``first`` ... ``first + rows - 1`` of a file (``rows`` null: to its end).

    ``definitions``: null uses the prompts as they stand; true or false rebuilds them with ``template``, definitions shown or hidden.
    ``source`` says where the problems come from, so that a change there is seen although the file only grew.
    """

    engine: str
    dtype: Literal["auto", "bfloat16", "float32"]
    first: int
    rows: int | None
    definitions: bool | None = None
    template: str | None = None
    rollouts: config.Rollouts
    source: config.Problems | str | None = None


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
