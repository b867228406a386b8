"""Specs: what a stage depends on, as canonical JSON."""

import json
from typing import Literal

from pydantic import AliasChoices, Field

from fofg import config
from fofg.config import Section

#: What decides which answers are correct; only reinforcement learning depends on the rewards too.
Rule = Literal["published", "lenient"]


class Spec(Section):
    code: int = Field(validation_alias=AliasChoices("code", "version"))

    def text(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


class PrepareBaseModel(Spec):
    """``base_model``: hub name, or the digest of a folder, whose path is an argument of its own."""

    base_model: str
    plain_prompt: bool


class CreateProblems(Spec):
    """Problems ``first`` ... ``first + rows - 1`` of one split of a dataset of the stage (1, 2) and levels (lowest, highest)."""

    dataset: str
    stage: int
    levels: tuple[int, int]
    split: Literal["train", "test"]
    first: int = 0
    rows: int
    problems: config.Problems


class DescribeDatasets(Spec):
    """``disjoint``: training and test problems must not overlap."""

    disjoint: bool


class CreateChunk(Spec):
    """Rows ``iteration * size`` ... of the problems, shuffled by ``seed`` (null: in file order)."""

    iteration: int
    size: int
    seed: int | None


class GenerateRollouts(Spec):
    """Rollouts for problems ``first`` ... ``first + rows - 1`` of a dataset (``rows`` null: through its last problem).

    ``problems``: how to sample them; null reads them from rows of the same numbers in a file. ``definitions``: null uses the
    prompts as they stand; true or false rebuilds them with ``template``, showing definitions or not. ``options``: settings of a
    user-defined engine, which may change its results.
    """

    engine: str
    options: dict[str, bool | int | float | str | None] | None = Field(None, exclude_if=lambda options: options is None)
    dtype: Literal["auto", "bfloat16", "float32"]
    first: int
    rows: int | None
    problems: CreateProblems | None = Field(None, exclude_if=lambda problems: problems is None)
    definitions: bool | None = None
    template: str | None = None
    rollouts: config.Rollouts


class GatherRollouts(Spec):
    shards: int


class SelectRftData(Spec):
    """``template``: of prompts without definitions, which take the place of the sampled ones; null: prompts stay as they are."""

    selection: config.Selection
    answer_rule: Rule
    template: str | None


class TrainSft(Spec):
    sft: config.SFTConfig


class LinkIteration(Spec):
    pass


class TrainRl(Spec):
    """``phases``: a curriculum; its mixtures name datasets or Parquet files."""

    rl: config.GRPOConfig
    phases: list[config.Phase]
    scoring: config.Scoring


class RlValidation(config.Validation):
    """How a run is validated, beside its spec, since a measurement changes no model. ``source``: how to sample ``dataset``."""

    source: CreateProblems


class ScoreRollouts(Spec):
    answer_rule: Rule


class SummarizeAccuracy(Spec):
    models: list[str]


class SummarizeEvaluation(Spec):
    models: list[str]


class CountPassk(Spec):
    answer_rule: Rule


class SummarizePassk(Spec):
    models: list[str]


class ClassifyFailures(Spec):
    """``levels``: lowest and highest."""

    levels: tuple[int, int]
    answer_rule: Rule


class SummarizeFailures(Spec):
    models: list[str]


class WriteSummary(Spec):
    """``models`` in order, beside the paper's numbers."""

    models: list[str]
    base_model: str


class RecordVersions(Spec):
    """``packages``: name -> version, ``python`` among them."""

    packages: dict[str, str]


class PlotFigures(Spec):
    figures: config.Figures


class BuildTinyBase(Spec):
    tiny_base: config.TinyBase
    template: str
