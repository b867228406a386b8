"""Each stage's part of the configuration."""

from fofg import config
from fofg.config import Config
from fofg.stages.specs import (
    BuildTinyBase,
    ClassifyFailures,
    CountPassk,
    CreateChunk,
    CreateProblems,
    DescribeDatasets,
    GatherRollouts,
    GenerateRollouts,
    LinkIteration,
    PlotFigures,
    PrepareBaseModel,
    RecordVersions,
    RlValidation,
    ScoreRollouts,
    SelectRftData,
    SummarizeAccuracy,
    SummarizeEvaluation,
    SummarizeFailures,
    SummarizePassk,
    TrainRl,
    TrainSft,
    WriteSummary,
)
from fofg.stages.versions import VERSIONS


def shard_count(settings: Config, problems: int) -> int:
    """Shards of ``shard_size`` that hold so many problems."""
    return -(-problems // settings.rollout_engine.shard_size)


def prepare_base_model(settings: Config, base_model: str) -> PrepareBaseModel:
    """``base_model``: the digest of a folder, so that a model may be moved; else its name on the hub."""
    return PrepareBaseModel(version=VERSIONS["prepare_base_model"], base_model=base_model, plain_prompt=settings.plain_prompt)


def create_problems(settings: Config, dataset: str, split: str) -> CreateProblems:
    """All problems of a split."""
    chosen = settings.datasets[dataset]
    return CreateProblems(
        version=VERSIONS["create_problems"],
        dataset=dataset,
        stage=chosen.stage,
        levels=chosen.levels,
        split=split,
        rows=getattr(chosen, split),
        problems=settings.problems.of_stage(chosen.stage),
    )


def _shard(settings: Config, shard: int, problems: int) -> dict[str, int]:
    size = settings.rollout_engine.shard_size
    return {"first": shard * size, "rows": min(size, problems - shard * size)}


def describe_datasets(settings: Config) -> DescribeDatasets:
    """The published sampler draws test problems like training problems, so that some may be the same."""
    return DescribeDatasets(version=VERSIONS["describe_datasets"], disjoint=settings.problems.sampler == "balanced")


def create_chunk(settings: Config, iteration: int) -> CreateChunk:
    rft = settings.stage2.rft
    return CreateChunk(version=VERSIONS["create_chunk"], iteration=iteration, size=rft.examples_per_iteration, seed=rft.chunk_seed)


def generate_rollouts(settings: Config, shard: int, problems: int) -> GenerateRollouts:
    """Stage-1 rollouts for one shard of ``problems`` problems, sampled by the job itself unless they are the user's own.

    The spec of a full shard does not depend on the number of problems.
    """
    where = _shard(settings, shard, problems)
    sampled = None
    if not settings.use.stage1_problems:
        sampled = create_problems(settings, "stage1_level1", "train").model_copy(update=where)
    return _rollouts(settings, settings.stage1.rollouts, **where, problems=sampled)


def generate_iteration_rollouts(settings: Config, shard: int) -> GenerateRollouts:
    """Rollouts of one shard of an RFT iteration's chunk."""
    where = _shard(settings, shard, settings.stage2.rft.examples_per_iteration)
    return _rollouts(settings, settings.stage2.rft.rollouts, **where)


def generate_stage1_test_rollouts(settings: Config, definitions: str) -> GenerateRollouts:
    """Rollouts on Stage 1's test problems, definitions ``visible`` or ``hidden``."""
    return _rollouts(
        settings,
        settings.evaluation.rollouts,
        first=0,
        rows=None,
        definitions=definitions == "visible",
        template=settings.problems.template,
    )


def generate_held_out_rollouts(settings: Config, decoding: str) -> GenerateRollouts:
    """Rollouts on the evaluation's problems, ``sampled`` or ``greedy``."""
    rollouts = settings.evaluation.rollouts
    if decoding == "greedy":
        rollouts = rollouts.model_copy(update={"temperature": 0.0, "samples": 1, "top_p": 1.0, "seed": 0})
    return _rollouts(settings, rollouts, first=0, rows=None)


def generate_passk_rollouts(settings: Config, shard: int) -> GenerateRollouts:
    """Rollouts of one shard of the problems of pass@k."""
    problems, size = settings.datasets[settings.passk.dataset].test, settings.passk.shard_size
    first = shard * size
    return _rollouts(settings, settings.passk.rollouts, first=first, rows=min(size, problems - first))


def _rollouts(settings: Config, rollouts: config.Rollouts, **where) -> GenerateRollouts:
    engine = settings.rollout_engine
    return GenerateRollouts(
        version=VERSIONS["generate_rollouts"],
        engine=engine.name,
        options=engine.options if engine.is_own() and engine.options else None,
        dtype=engine.dtype,
        rollouts=rollouts,
        **where,
    )


def gather_rollouts(shards: int) -> GatherRollouts:
    return GatherRollouts(version=VERSIONS["gather_rollouts"], shards=shards)


def select_stage1_data(settings: Config) -> SelectRftData:
    chosen = settings.stage1.rft
    template = None if chosen.keep_definitions else settings.problems.template
    return _select(settings, chosen, template)


def select_iteration_data(settings: Config) -> SelectRftData:
    """Stage 2's prompts have no definitions, so they stay as they are."""
    return _select(settings, settings.stage2.rft.selection, None)


def _select(settings: Config, chosen: config.Selection, template: str | None) -> SelectRftData:
    return SelectRftData(
        version=VERSIONS["select_rft_data"],
        selection=config.Selection(**{name: getattr(chosen, name) for name in config.Selection.model_fields}),
        answer_rule=settings.scoring.answer_rule,
        template=template,
    )


def train_stage1(settings: Config) -> TrainSft:
    return TrainSft(version=VERSIONS["train_sft"], sft=settings.stage1.sft)


def train_iteration(settings: Config) -> TrainSft:
    return TrainSft(version=VERSIONS["train_sft"], sft=settings.stage2.rft.sft)


def link_iteration(settings: Config) -> LinkIteration:
    return LinkIteration(version=VERSIONS["link_iteration"])


def train_rl(settings: Config, curriculum: str) -> TrainRl:
    rl = settings.stage2.rl
    grpo = config.GRPOConfig(**{name: getattr(rl, name) for name in config.GRPOConfig.model_fields})
    return TrainRl(
        version=VERSIONS["train_rl"],
        rl=grpo,
        phases=rl.curricula[curriculum],
        scoring=settings.scoring,
    )


def rl_validation(settings: Config) -> RlValidation | None:
    """No spec: a run's validation can change without retraining its model. None if it is off."""
    validation = settings.stage2.rl.validation
    if not validation.every:
        return None
    return RlValidation(**validation.model_dump(), source=create_problems(settings, validation.dataset, "test"))


def score_rollouts(settings: Config) -> ScoreRollouts:
    return ScoreRollouts(version=VERSIONS["score_rollouts"], answer_rule=settings.scoring.answer_rule)


def summarize_accuracy(models: list[str]) -> SummarizeAccuracy:
    return SummarizeAccuracy(version=VERSIONS["summarize_accuracy"], models=models)


def summarize_evaluation(settings: Config) -> SummarizeEvaluation:
    return SummarizeEvaluation(version=VERSIONS["summarize_evaluation"], models=settings.models())


def count_passk(settings: Config) -> CountPassk:
    return CountPassk(version=VERSIONS["count_passk"], answer_rule=settings.scoring.answer_rule)


def summarize_passk(settings: Config) -> SummarizePassk:
    return SummarizePassk(version=VERSIONS["summarize_passk"], models=settings.passk.models)


def classify_failures(settings: Config) -> ClassifyFailures:
    return ClassifyFailures(
        version=VERSIONS["classify_failures"], levels=settings.failures.levels, answer_rule=settings.scoring.answer_rule
    )


def summarize_failures(settings: Config) -> SummarizeFailures:
    return SummarizeFailures(version=VERSIONS["summarize_failures"], models=settings.models())


def write_summary(settings: Config) -> WriteSummary:
    return WriteSummary(version=VERSIONS["write_summary"], models=settings.models(), base_model=settings.base_model)


def record_versions(packages: dict[str, str]) -> RecordVersions:
    return RecordVersions(version=VERSIONS["record_versions"], packages=packages)


def plot_figures(settings: Config) -> PlotFigures:
    return PlotFigures(version=VERSIONS["plot_figures"], figures=settings.figures)


def build_tiny_base(settings: Config) -> BuildTinyBase:
    return BuildTinyBase(version=VERSIONS["build_tiny_base"], tiny_base=settings.tiny_base, template=settings.problems.template)
